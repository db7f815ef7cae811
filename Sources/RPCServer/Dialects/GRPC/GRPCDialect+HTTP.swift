internal import CNGHTTP2
internal import HTTPTypes
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// What HTTP brings along besides gRPC: browsers, tokens, and Connect's unary protocol.
extension GRPCDialect {
  // MARK: Who calls

  /// Whether a page may send this, by what its browser tells; one that may not is told.
  func admitBrowser(_ stream: GRPCStream) -> Bool {
    let head = stream.head
    let guardian = host.browserGuard
    do throws(HTTPRefusal) {
      if !guardian.takes(host: head.hostName) { throw BrowserGuard.refusal(ofHost: head.hostName) }
      stream.head.allowedOrigin = try guardian.check(
        origin: head.origin, site: head.site, host: head.hostName)
      return true
    } catch {
      guard !head.isOther else {
        refuse(stream, error)
        return false
      }
      core.failed(nil, error.error, by: connection.caller, code: error.code)
      submit(
        stream,
        [(":status", "\(error.status.code)"), ("content-type", "application/grpc")]
          + GRPCStatus(error.code, error.error.message).fields)
      return false
    }
  }

  /// Who the request's token names.
  func token(_ stream: GRPCStream) throws(RPCError) -> TokenCaller? {
    try TokenCaller.named(by: stream.head.authorization, on: connection, known: &tokenCaller)
  }

  /// Answers a request of a connection that takes none, which ends behind it.
  func refuse(_ stream: GRPCStream, andAll error: RPCError) {
    if stream.head.isOther {
      refuse(stream, HTTPRefusal(.badRequest, .unauthenticated, error))
    } else {
      fail(stream, error)
    }
    HTTP2Session.goAway(session, NGHTTP2_NO_ERROR, error.message)
  }

  // MARK: What is not a call

  /// Answers OPTIONS, and what a browser asks before it lets a page send more than any page could.
  func answerOptions(_ stream: GRPCStream) {
    var fields: [(name: String, value: String)] = [
      (":status", "204"), ("allow", "GET, HEAD, POST, OPTIONS"),
    ]
    if let origin = stream.head.allowedOrigin {
      fields += [
        ("access-control-allow-origin", origin), ("access-control-allow-methods", Preflight.methods),
        ("access-control-allow-headers", Preflight.fields),
        ("access-control-max-age", "\(Preflight.seconds)"), ("vary", "origin"),
      ]
    }
    submit(stream, fields)
  }

  /// Refuses a request as HTTP does, with its status and in words.
  func refuse(_ stream: GRPCStream, _ refusal: HTTPRefusal) {
    core.failed(nil, refusal.error, by: caller(of: stream), code: refusal.code)
    guard !stream.isAnswered else { return }
    stream.reply.removeAll()
    let head = ConnectJSON.append(refusal.error, refusal.status, refusal.code, to: &stream.reply)
    if stream.head.isHead { stream.reply.removeAll() }
    finish(stream, head, allowed: refusal.allowed)
  }

  // MARK: Connect

  func beginUnary(_ stream: GRPCStream, _ type: ContentType) {
    do throws(HTTPRefusal) {
      let format = try UnaryFormats.format(type, coding: stream.head.contentEncoding)
      try begin(stream, format, type)
    } catch {
      refuse(stream, error)
    }
  }

  /// What is called with another method than POST: with GET, where that is allowed.
  func beginWithoutPost(_ stream: GRPCStream) {
    guard stream.head.isOther else {
      return submit(
        stream,
        [
          (":status", "405"), ("allow", "POST, OPTIONS"),
          ("grpc-status", "\(StatusCode.internal.rawValue)"),
          ("grpc-message", "a procedure is called with POST"),
        ])
    }
    do throws(HTTPRefusal) {
      guard stream.head.isRead, !stream.head.isHead else {
        throw HTTPRefusal(
          .methodNotAllowed, .unimplemented, "a procedure is called with POST", allowed: "POST, OPTIONS")
      }
      let query = try ConnectQuery(stream.head.query)
      try begin(stream, query.format, ContentType(""), isGet: true)
      stream.body.append(query.message)
      bodyBytes += query.message.count
    } catch {
      refuse(stream, error)
    }
  }

  private func begin(
    _ stream: GRPCStream, _ format: any UnaryFormat.Type, _ type: ContentType, isGet: Bool = false
  ) throws(HTTPRefusal) {
    let overloads: [BoundProcedure]
    do throws(RPCError) {
      let path = stream.head.pathWithoutQuery
      overloads = try core.overloads(
        at: path, HTTPPath(Array(path.utf8)), format: format,
        target: Array(path.utf8).withUnsafeBufferPointer { host.grpcMethods.find($0) },
        for: connection, as: stream.token)
      stream.head.timeout = try ConnectHeader.timeoutNanoseconds(stream.head.connectTimeout)
      stream.unary = UnaryExchange(
        self, stream, format, type, overloads,
        isFromConnect: try ConnectHeader.isPresent(stream.head.connectVersion))
    } catch {
      throw HTTPRefusal(error)
    }
    guard isGet else { return }
    try ConnectQuery.allow(overloads, hasToken: stream.token != nil, host.options)
  }

  /// Sends an answer whose body is in the stream.
  ///
  /// - Parameter allowed: the methods that would be right.
  func finish(_ stream: GRPCStream, _ head: AnswerHead, allowed: StaticString? = nil) {
    stream.status = .ok
    held(stream.reply.count)
    begin(stream, head, allowed: allowed)
  }

  /// Begins an answer whose body is not whole yet.
  func begin(_ stream: GRPCStream, _ head: AnswerHead, allowed: StaticString? = nil) {
    var fields = [(":status", "\(head.status.code)"), ("content-type", "\(head.contentType)")]
    if let wait = head.retryAfterMilliseconds {
      fields.append(("retry-after", "\(max(1, (wait + 999) / 1000))"))
    }
    if let allowed { fields.append(("allow", "\(allowed)")) }
    if head.status.code == 401 { fields.append(("www-authenticate", "Bearer")) }
    fields.append(("x-content-type-options", "nosniff"))
    stream.answerHead = fields + Self.originFields(stream)
    submitReply(stream)
  }

  static func originFields(_ stream: GRPCStream) -> [(String, String)] {
    guard let origin = stream.head.allowedOrigin else { return [] }
    return [
      ("access-control-allow-origin", origin), ("vary", "origin"),
      ("access-control-expose-headers", Preflight.exposed),
    ]
  }

  /// Answers a request of Connect with an error.
  func answerUnary(_ stream: GRPCStream, _ error: RPCError) {
    guard !stream.isAnswered else { return }
    stream.reply.removeAll()
    finish(stream, ConnectJSON.append(error, error.httpStatus, error.httpCode, to: &stream.reply))
  }
}
