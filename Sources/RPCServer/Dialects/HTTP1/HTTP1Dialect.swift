internal import HTTPTypes
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// HTTP/1.1 with calls as Connect's unary protocol has them: `POST /SERVICE/PROCEDURE`. Requests are answered one after
/// the other, in their order; what is pipelined waits in the connection's input.
internal final class HTTP1Dialect: Dialect {
  static let name = "http"

  // The connection lets go of its dialect when it is closed, so this holds nothing for ever.
  let connection: ServerConnection
  let socket: Connection
  let host: ServerLoop
  let core: CallCore
  let caller: Caller
  let workbench: HTTPWorkbench
  @exclusivity(unchecked) var parser: HTTP1Parser
  /// What the request that is being read asks for, once its head is whole.
  private var route: HTTP1Route?
  var exchange = HTTP1Exchange()
  /// An answer is to come, by a sink or from beside the loop.
  private(set) var isBusy = false
  /// Calls are counted: HTTP has no numbers for them.
  private var nextCallID: UInt64 = 1
  /// The caller that the last token named: most connections have one at most.
  var tokenCaller: TokenCaller?
  /// How what ends the connection is said, where the parser knows.
  private var violation: HTTP1Violation?

  init(on connection: ServerConnection) {
    self.connection = connection
    socket = connection.socket
    host = connection.host
    core = connection.host.calls
    caller = connection.caller
    workbench = connection.host.httpWorkbench
    parser = HTTP1Parser(bodyBytesMax: connection.host.options.jsonBytes)
  }

  private static let methods = [
    "GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS ", "TRACE ", "CONNECT ",
  ]
  .map { Array($0.utf8) }

  static func recognise(_ first: RawSpan, alpn: String?) -> Recognition {
    if let alpn { return alpn == "http/1.1" ? .yes : .no }
    // `P` alone may be the preface of HTTP/2 too.
    let enough = 3
    let isMethod = methods.contains { method in
      for index in 0..<min(first.byteCount, method.count) where first.at(index) != method[index] {
        return false
      }
      return true
    }
    guard isMethod else { return .no }
    return first.byteCount < enough ? .needs(bytes: enough) : .yes
  }

  // MARK: Input

  func read(_ bytes: RawSpan, into output: inout ByteQueue) -> Progress {
    var offset = 0
    while offset < bytes.byteCount {
      if socket.outputBytes > socket.limits.outputHighWater { return .consumed(offset) }
      if isBusy {
        // Nothing overtakes the answer that is to come. Until a next request is there the end of the peer is watched for.
        socket.pauseReading()
        return .consumed(offset)
      }
      let rest = bytes.extracting(offset..<bytes.byteCount)
      do throws(HTTP1Violation) {
        if parser.isIdle { recallHead(rest) }
        switch try parser.advance(rest) {
        case .more(let wanted):
          guard !socket.inputHasEnded else { return .consumed(bytes.byteCount) }
          return .consumed(offset, wanted: wanted)
        case .head: readHead(rest)
        case .whole(let count):
          perform(rest)
          parser.reset()
          offset += count
        }
      } catch {
        end(with: error)
      }
      if !socket.isReceiving { return .consumed(bytes.byteCount) }
    }
    return .consumed(offset)
  }

  /// Takes what was decided by a head of the same bytes.
  private func recallHead(_ bytes: RawSpan) {
    guard !connection.isDraining,
      let known = workbench.knownHeads.value.find(bytes, generation: host.catalogue.edition),
      connection.allows(service: known.call.overloads[0].service, in: host.catalogue)
    else { return }
    parser.adopt(known.head, end: known.bytes.count)
    exchange = HTTP1Exchange(closes: known.head.closes, isOld: known.head.minorVersion == 0)
    var call = known.call
    call.caller = caller
    route = .call(call)
  }

  /// Decides on a request before its body is there.
  private func readHead(_ bytes: RawSpan) {
    exchange = HTTP1Exchange(
      isHead: parser.head.method == .head, closes: parser.head.closes || connection.isDraining,
      isOld: parser.head.minorVersion == 0)
    do throws(HTTPRefusal) {
      let route = try self.route(bytes)
      self.route = route
      if case .call(let call) = route, exchange.allowedOrigin == nil {
        workbench.knownHeads.value.keep(bytes, parser.head, end: parser.headEnd, call)
      }
    } catch {
      route = nil
      // A body that is not read cannot be told from the next request.
      let end = parser.headEnd + parser.head.contentLength
      if parser.head.isChunked || bytes.byteCount < end { exchange.closes = true }
      let type = error.isCall ? ContentType(parser.head.text(of: .contentType, in: bytes) ?? "") : nil
      return refuse(error, by: caller, as: type.flatMap { type in UnaryFormats.all.first { $0.takes(type) } })
    }
    if parser.head.expectsContinue, bytes.byteCount == parser.headEnd {
      socket.send { $0.append("HTTP/1.1 100 Continue\r\n\r\n" as StaticString) }
    }
  }

  /// Does what a whole request asks for. One that was refused has been answered.
  private func perform(_ bytes: RawSpan) {
    guard let route else { return }
    self.route = nil
    switch route {
    case .page(let page): show(page)
    case .options: answerOptions()
    case .call(var call):
      do throws(HTTPRefusal) {
        if call.generation != host.catalogue.edition {
          // The rights of the caller may be others now.
          guard case .call(let decided) = try self.route(bytes) else { return }
          call = decided
        }
        try begin(call, metadata: bytes)
      } catch {
        refuse(error, by: call.caller, as: call.format)
      }
    }
  }

  /// The body of the request that is whole.
  private func withBody<Result>(_ bytes: RawSpan, _ use: (RawSpan) -> Result) -> Result {
    guard parser.body.count > 1 else {
      return use(bytes.extracting(parser.body.first ?? 0..<0))
    }
    var body: [UInt8] = []
    body.reserveCapacity(parser.bodyCount)
    for range in parser.body { bytes.extracting(range).withUnsafeBytes { body.append(contentsOf: $0) } }
    return use(body.span.bytes)
  }

  private func begin(_ call: HTTP1Call, metadata bytes: RawSpan) throws(HTTPRefusal) {
    if let message = call.message { return try begin(call, body: message.span.bytes, metadata: bytes) }
    let outcome = withBody(bytes) { body -> HTTPRefusal? in
      do throws(HTTPRefusal) {
        try begin(call, body: body, metadata: bytes)
        return nil
      } catch {
        return error
      }
    }
    if let outcome { throw outcome }
  }

  private func begin(_ call: HTTP1Call, body: RawSpan, metadata bytes: RawSpan) throws(HTTPRefusal) {
    let isMany = call.overloads.contains { $0.isSlow(bytes: body.byteCount) }
    guard isMany else {
      do throws(RPCError) {
        let resolved = try call.format.resolve(
          body, fromConnect: call.isFromConnect, call.overloads, in: host.catalogue)
        try start(call, resolved, exchange, bytes, received: nil)
      } catch {
        throw HTTPRefusal(error)
      }
      return
    }
    if let excess = socket.excess(of: body.byteCount) {
      throw HTTPRefusal(
        CallCore.memoryExceeded(actual: excess.actual, limit: excess.limit, isStranger: socket.isStranger))
    }
    decode(call, body.withUnsafeBytes { Array($0) }, metadata: bytes)
  }

  /// Reads a long body beside the loop, then starts the call.
  private func decode(_ call: HTTP1Call, _ body: [UInt8], metadata bytes: RawSpan) {
    let catalogue = host.catalogue
    let since = host.loop.now
    let exchange = exchange
    // The head is not offered again.
    let head = bytes.extracting(0..<parser.headEnd).withUnsafeBytes { Array($0) }
    let fields = parser.head
    isBusy = true
    let format = call.format
    let overloads = call.overloads
    let isFromConnect = call.isFromConnect
    connection.beside(holding: body.count) { () -> Result<ResolvedCall, RPCError> in
      do throws(RPCError) {
        return .success(
          try format.resolve(body.span.bytes, fromConnect: isFromConnect, overloads, in: catalogue))
      } catch {
        return .failure(error)
      }
    } then: { [self] result in
      guard socket.isReceiving else { return }
      isBusy = false
      do throws(RPCError) {
        if connection.isDraining { throw CallCore.draining }
        try core.authorise(overloads[0], for: connection, as: call.token)
        try start(call, try result.get(), exchange, head.span.bytes, received: since, fields: fields)
      } catch {
        self.exchange = exchange
        refuse(HTTPRefusal(error), by: call.caller, as: call.format)
      }
    }
  }

  private func start(
    _ call: HTTP1Call, _ resolved: ResolvedCall, _ exchange: HTTP1Exchange, _ bytes: RawSpan,
    received: UInt64?,
    fields: HTTP1Head? = nil
  ) throws(RPCError) {
    let procedure = resolved.procedure
    if case .immediate = procedure.implementation, resolved.arguments.count <= procedure.spotBytesMax {
      return try bytes.withUnsafeBytes { bytes throws(RPCError) in
        try runOnTheSpot(call, resolved, fields ?? parser.head, bytes)
      }
    }
    let callID = nextCallID
    nextCallID += 1
    let context = CallContext(
      metadata: try HTTPMetadata.messagePack(of: fields ?? parser.head, in: bytes))
    isBusy = true
    do throws(RPCError) {
      try core.start(
        callID, procedure, resolved.arguments, timeoutNanoseconds: call.timeoutNanoseconds,
        received: received,
        context: context, on: connection, caller: call.caller,
        sink: HTTP1ReplySink(self, exchange, format: call.format, type: call.type, procedure: procedure))
    } catch {
      isBusy = false
      throw error
    }
  }

  /// A closure that answers where its call is read.
  private func runOnTheSpot(
    _ call: HTTP1Call, _ resolved: ResolvedCall, _ head: HTTP1Head, _ bytes: UnsafeRawBufferPointer
  ) throws(RPCError) {
    let procedure = resolved.procedure
    core.spot.value.begin(
      procedure, on: connection, timeout: call.timeoutNanoseconds, .http1(head, bytes), by: call.caller)
    defer { core.spot.value.endAll() }
    workbench.values.value.removeAll()
    var reader = MessagePackReader(resolved.arguments.span.bytes)
    do throws(RPCError) {
      try procedure.body(&reader, &workbench.values.value)
    } catch {
      return refuse(
        HTTPRefusal(core.explained(error, procedure)), of: procedure, by: call.caller, as: call.format)
    }
    core.executed(procedure, times: 1, by: call.caller)
    let values = workbench.values.value.copy()
    answer(.success(values), exchange, format: call.format, type: call.type, procedure: procedure)
  }

  // MARK: Answers

  /// Writes an answer, which is not long.
  func answer(
    _ outcome: CallOutcome, _ exchange: HTTP1Exchange, format: any UnaryFormat.Type, type: ContentType?,
    procedure: BoundProcedure?
  ) {
    var exchange = exchange
    if connection.isDraining { exchange.closes = true }
    workbench.body.value.removeAll()
    let head = format.append(
      outcome, of: procedure, type: type, limit: host.options.jsonBytes, to: &workbench.body.value)
    socket.send { exchange.append(head, workbench.body.value, workbench, to: &$0) }
    answered(exchange)
  }

  /// The answer of a call that took its time is about to be written.
  func concluded() { isBusy = false }

  /// After an answer: the connection may end with it.
  func answered(_ exchange: HTTP1Exchange) {
    if exchange.closes || connection.isDraining { socket.closeAfterFlush() }
  }

  /// An answer is to come that is not a call's.
  func takeTurn() { isBusy = true }

  /// - Parameter format: of the request, where that is known.
  func refuse(
    _ refusal: HTTPRefusal, of procedure: BoundProcedure? = nil, by caller: Caller,
    as format: (any UnaryFormat.Type)? = nil
  ) {
    core.failed(procedure, refusal.error, by: caller, code: refusal.code)
    workbench.body.value.removeAll()
    let head: AnswerHead
    if refusal.isCall, let format, format.isGRPCWeb {
      head = format.append(
        .failure(refusal.error), of: procedure, type: nil, limit: host.options.jsonBytes,
        to: &workbench.body.value)
    } else {
      head = ConnectJSON.append(refusal.error, refusal.status, refusal.code, to: &workbench.body.value)
    }
    socket.send {
      exchange.append(head, workbench.body.value, allowed: refusal.allowed, workbench, to: &$0)
    }
    answered(exchange)
  }

  /// Ends the connection of a peer that does not speak HTTP.
  private func end(with violation: HTTP1Violation) {
    self.violation = violation
    connection.refuse(
      RPCError(
        .protocolError, violation.message, actual: violation.actual, limit: violation.limit,
        unit: violation.limit == nil ? nil : .bytes))
  }

  func refuse(_ error: RPCError, into output: inout ByteQueue) {
    // An idle connection was asked nothing that it could answer.
    if violation == nil, parser.isIdle, !isBusy, error.exception == .unavailable { return }
    var last = exchange
    last.closes = true
    last.isHead = false
    let isLate = violation == nil && error.exception == .deadlineExceeded
    // Who speaks plainly where TLS is needed lacks no token.
    let isPlain = error.exception == .unauthenticated
    let status =
      violation?.status ?? (isLate ? .requestTimeout : isPlain ? .badRequest : error.httpStatus)
    let code: StatusCode = violation == nil ? error.httpCode : .invalidArgument
    workbench.body.value.removeAll()
    let head = ConnectJSON.append(error, status, code, to: &workbench.body.value)
    last.append(head, workbench.body.value, workbench, to: &output)
  }

  // MARK: The end

  /// A client that ends its side while its call runs has gone: the call ends with it. Before that it is not told apart
  /// from one that reads its last answer.
  func inputEnded() -> EndOfInput { isBusy ? .closeNow : .closeAfterCalls }
}
