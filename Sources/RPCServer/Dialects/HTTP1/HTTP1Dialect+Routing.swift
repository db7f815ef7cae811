internal import HTTPTypes
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// What a request asks for, and whether it may: decided by its head.
extension HTTP1Dialect {
  func route(_ bytes: RawSpan) throws(HTTPRefusal) -> HTTP1Route {
    let head = parser.head
    var path = head.target
    var query: Range<Int>?
    if let mark = head.target.first(where: { bytes.at($0) == UInt8(ascii: "?") }) {
      path = head.target.lowerBound..<mark
      query = mark + 1..<head.target.upperBound
    }
    let page = path.count <= 16 ? HTTPPage(rawValue: bytes.text(path)) : nil
    let isRead = head.method == .get || head.method == .head
    // Load balancers ask for it by whatever name they have.
    if page == .health, isRead { return .page(.health) }
    exchange.allowedOrigin = try checkPeer(head, bytes)
    if head.method == .options { return .options }
    if let page {
      guard isRead else {
        throw HTTPRefusal(
          .methodNotAllowed, .unimplemented, "'\(page.rawValue)' is read with GET",
          allowed: "GET, HEAD, OPTIONS")
      }
      return .page(page)
    }
    if connection.isDraining { throw HTTPRefusal(CallCore.draining) }
    switch head.method {
    case .post:
      return .call(try call(head, path, format: try format(head, bytes), message: nil, bytes))
    case .get:
      let text = query.map { bytes.extracting($0).withUnsafeBytes { Array($0) } } ?? []
      let query = try ConnectQuery(text)
      let call = try call(head, path, format: (query.format, nil), message: query.message, bytes)
      try ConnectQuery.allow(call.overloads, hasToken: call.token != nil, host.options)
      return .call(call)
    default:
      throw HTTPRefusal(
        .methodNotAllowed, .unimplemented,
        "a procedure is called with POST, not \(head.method.rawValue.prefix(16))",
        allowed: "POST, OPTIONS")
    }
  }

  /// Whether the request leads here, and no page of another's sends it.
  ///
  /// - Returns: the origin that was opened deliberately, where the page is of one.
  private func checkPeer(_ head: HTTP1Head, _ bytes: RawSpan) throws(HTTPRefusal) -> String? {
    let guardian = host.browserGuard
    let name = (head.range(of: .host) ?? head.authority).map { bytes.text($0) }
    // HTTP/1.0 need not say it, and then no browser sends it.
    if let name, !guardian.takes(host: name) { throw BrowserGuard.refusal(ofHost: name) }
    return try guardian.check(
      origin: head.text(of: .origin, in: bytes), site: head.text(of: .secFetchSite, in: bytes),
      host: name ?? "")
  }

  /// How the body is written.
  private func format(_ head: HTTP1Head, _ bytes: RawSpan) throws(HTTPRefusal) -> (
    any UnaryFormat.Type, ContentType?
  ) {
    let type = ContentType(head.text(of: .contentType, in: bytes) ?? "")
    return (try UnaryFormats.format(type, coding: head.text(of: .contentEncoding, in: bytes)), type)
  }

  private func call(
    _ head: HTTP1Head, _ path: Range<Int>, format: (any UnaryFormat.Type, ContentType?), message: [UInt8]?,
    _ bytes: RawSpan
  ) throws(HTTPRefusal) -> HTTP1Call {
    do throws(RPCError) {
      let token = try token(head, bytes)
      let overloads = try core.overloads(
        at: bytes.text(path), bytes.extracting(path).withUnsafeBytes { HTTPPath($0) }, format: format.0,
        target: method(at: path, bytes), for: connection, as: token)
      return HTTP1Call(
        overloads: overloads, caller: token?.caller ?? caller, token: token, format: format.0, type: format.1,
        timeoutNanoseconds: try timeout(head, format.0, bytes),
        isFromConnect: try ConnectHeader.isPresent(head.text(of: .connectProtocolVersion, in: bytes)),
        message: message, generation: host.catalogue.edition)
    } catch {
      throw HTTPRefusal(error)
    }
  }

  private func method(at path: Range<Int>, _ bytes: RawSpan) -> GRPCTarget {
    bytes.extracting(path).withUnsafeBytes { host.grpcMethods.find($0.bindMemory(to: UInt8.self)) }
  }

  /// Who the request's token names.
  private func token(_ head: HTTP1Head, _ bytes: RawSpan) throws(RPCError) -> TokenCaller? {
    try TokenCaller.named(
      by: head.text(of: .authorization, in: bytes), on: connection, known: &tokenCaller)
  }

  /// How long the client gives the call, in nanoseconds, 0 for no limit of its own.
  private func timeout(
    _ head: HTTP1Head, _ format: any UnaryFormat.Type, _ bytes: RawSpan
  ) throws(RPCError) -> UInt64 {
    guard format.isGRPCWeb, let text = head.text(of: .grpcTimeout, in: bytes) else {
      return try ConnectHeader.timeoutNanoseconds(head.text(of: .connectTimeout, in: bytes))
    }
    guard let timeout = Array(text.utf8).withUnsafeBufferPointer({ GRPCTimeout.nanoseconds($0) }) else {
      throw RPCError(.protocolError, GRPCTimeout.whatItIs)
    }
    return timeout
  }
}
