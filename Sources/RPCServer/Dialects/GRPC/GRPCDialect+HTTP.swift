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

  // MARK: What is not a call

  func refuseMethod(_ stream: GRPCStream) {
    if stream.head.isOptions, let origin = stream.head.allowedOrigin {
      return submit(
        stream,
        [
          (":status", "204"), ("access-control-allow-origin", origin),
          ("access-control-allow-methods", "POST"),
          ("access-control-allow-headers", Self.browserFields), ("access-control-max-age", "7200"),
          ("vary", "origin"),
        ])
    }
    submit(
      stream,
      [
        (":status", "405"), ("allow", "GET, HEAD, POST, OPTIONS"),
        ("grpc-status", "\(StatusCode.internal.rawValue)"),
      ])
  }

  /// The fields that clients in browsers send.
  private static let browserFields =
    "authorization, connect-protocol-version, connect-timeout-ms, content-type, grpc-timeout, x-grpc-web, x-user-agent"

  func refuseContent(_ stream: GRPCStream) {
    submit(
      stream,
      [
        (":status", "415"),
        ("accept-post", "application/grpc, application/grpc-web, application/json, application/proto"),
      ])
  }

  // MARK: Connect

  func beginUnary(_ stream: GRPCStream, _ type: ContentType) {
    guard !type.isSimple, let format = UnaryFormats.all.first(where: { $0.takes(type) }) else {
      return refuseContent(stream)
    }
    do throws(RPCError) {
      let overloads = try overloads(stream, format)
      stream.head.timeout = try ConnectHeader.timeoutNanoseconds(stream.head.connectTimeout)
      stream.unary = UnaryExchange(
        self, stream, format, type, overloads,
        isFromConnect: try ConnectHeader.isPresent(stream.head.connectVersion))
    } catch {
      fail(stream, error)
    }
  }

  /// What a path means: in protobuf a method, in JSON all overloads of a procedure.
  private func overloads(_ stream: GRPCStream, _ format: any UnaryFormat.Type) throws(RPCError)
    -> [BoundProcedure]
  {
    if format is any ProtoFormat.Type {
      guard case .procedure(let method) = stream.head.target else {
        throw host.grpcMethods.unknown(stream.head.path)
      }
      try core.authorise(method.procedure, for: connection, as: stream.token)
      return [method.procedure]
    }
    guard let place = HTTPPath(Array(stream.head.path.utf8)) else {
      throw RPCError(
        .rpcNotFound, "nothing is at '\(stream.head.path.prefix(64))': a procedure is at /SERVICE/PROCEDURE")
    }
    try HTTPOffer.check(service: place.service, procedure: place.procedure)
    return try core.overloads(
      service: place.service, procedure: place.procedure, for: connection, as: stream.token)
  }

  /// Sends an answer whose body is in the stream.
  func finish(_ stream: GRPCStream, _ head: AnswerHead) {
    stream.status = .ok
    held(stream.reply.count)
    begin(stream, head)
  }

  /// Begins an answer whose body is not whole yet.
  func begin(_ stream: GRPCStream, _ head: AnswerHead) {
    var fields = [(":status", "\(head.status.code)"), ("content-type", "\(head.contentType)")]
    if let wait = head.retryAfterMilliseconds {
      fields.append(("retry-after", "\(max(1, (wait + 999) / 1000))"))
    }
    stream.answerHead = fields + Self.originFields(stream)
    submitReply(stream)
  }

  static func originFields(_ stream: GRPCStream) -> [(String, String)] {
    guard let origin = stream.head.allowedOrigin else { return [] }
    return [
      ("access-control-allow-origin", origin), ("vary", "origin"),
      ("access-control-expose-headers", "grpc-status, grpc-message, grpc-status-details-bin"),
    ]
  }

  /// Answers a request of Connect with an error.
  func answerUnary(_ stream: GRPCStream, _ error: RPCError, _ type: ContentType) {
    guard !stream.isAnswered else { return }
    stream.reply.removeAll()
    finish(stream, ConnectJSON.append(error, error.httpStatus, error.httpCode, to: &stream.reply))
  }
}
