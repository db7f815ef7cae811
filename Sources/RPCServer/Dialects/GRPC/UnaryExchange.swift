internal import HTTPTypes
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// A request over HTTP/2 that is none of gRPC's: Connect's unary protocol, whose formats are those of HTTP/1.1.
internal final class UnaryExchange: ReplySink {
  private let dialect: GRPCDialect
  private let stream: GRPCStream
  private let id: Int32
  private let format: any UnaryFormat.Type
  private let type: ContentType
  private let overloads: [BoundProcedure]
  private let isFromConnect: Bool
  private var procedure: BoundProcedure?

  init(
    _ dialect: GRPCDialect, _ stream: GRPCStream, _ format: any UnaryFormat.Type, _ type: ContentType,
    _ overloads: [BoundProcedure], isFromConnect: Bool
  ) {
    self.dialect = dialect
    self.stream = stream
    self.format = format
    self.type = type
    self.overloads = overloads
    self.isFromConnect = isFromConnect
    id = stream.id
  }

  private var caller: Caller { stream.token?.caller ?? dialect.connection.caller }

  private var isAwaited: Bool { stream.id == id && !stream.isAnswered && dialect.socket.isReceiving }

  /// Calls what the body, which is whole, asks for. A long one is read beside the loop.
  func run() {
    let count = stream.body.count
    guard overloads.contains(where: { $0.isSlow(bytes: count) }) else {
      let body = stream.body.copy()
      return start(
        Self.resolve(body, format, isFromConnect, overloads, dialect.host.catalogue), received: nil)
    }
    if let excess = dialect.socket.excess(of: count) {
      let stranger = dialect.socket.isStranger
      return refuse(
        CallCore.memoryExceeded(actual: excess.actual, limit: excess.limit, isStranger: stranger))
    }
    let received = dialect.host.loop.now
    let catalogue = dialect.host.catalogue
    dialect.connection.beside(holding: count) {
      [body = stream.body.copy(), format, isFromConnect, overloads] in
      Self.resolve(body, format, isFromConnect, overloads, catalogue)
    } then: { [self] call in
      guard isAwaited else { return }
      do throws(RPCError) {
        // The rights of the caller may be others now.
        if dialect.connection.isDraining { throw CallCore.draining }
        try dialect.core.authorise(overloads[0], for: dialect.connection, as: stream.token)
        start(call, received: received)
      } catch {
        refuse(error)
      }
      dialect.flush()
    }
  }

  private static func resolve(
    _ body: [UInt8], _ format: any UnaryFormat.Type, _ isFromConnect: Bool, _ overloads: [BoundProcedure],
    _ catalogue: Catalogue
  ) -> Result<ResolvedCall, RPCError> {
    Result { () throws(RPCError) in
      try format.resolve(body.span.bytes, fromConnect: isFromConnect, overloads, in: catalogue)
    }
  }

  private func start(_ resolved: Result<ResolvedCall, RPCError>, received: UInt64?) {
    do throws(RPCError) {
      let call = try resolved.get()
      procedure = call.procedure
      var context = CallContext()
      context.metadata = stream.head.metadataMap()
      try dialect.core.start(
        UInt64(id), call.procedure, call.arguments, timeoutNanoseconds: stream.head.timeout,
        received: received, context: context, on: dialect.connection, caller: caller, sink: self)
    } catch {
      refuse(error)
    }
  }

  private func refuse(_ error: RPCError) {
    dialect.core.failed(procedure, error, by: caller, code: error.httpCode)
    answer(.failure(error))
  }

  func end(_ outcome: CallOutcome) {
    guard isAwaited else { return }
    let limit = dialect.host.options.jsonBytes
    if case .success(let values) = outcome, values.count > BoundProcedure.spotBytes, values.count <= limit {
      return encodeBeside(outcome, values.count, limit)
    }
    answer(outcome)
    dialect.flush()
  }

  /// A long result is written beside the loop.
  private func encodeBeside(_ outcome: CallOutcome, _ count: Int, _ limit: Int) {
    dialect.connection.beside(holding: count) { [format, type, procedure] in
      var body = ByteQueue()
      let head = format.append(outcome, of: procedure, type: type, limit: limit, to: &body)
      return (head, body.copy())
    } then: { [self] head, body in
      guard isAwaited else { return }
      stream.reply.append(body)
      dialect.finish(stream, head)
      dialect.flush()
    }
  }

  private func answer(_ outcome: CallOutcome) {
    let head = format.append(
      outcome, of: procedure, type: type, limit: dialect.host.options.jsonBytes, to: &stream.reply)
    dialect.finish(stream, head)
  }
}
