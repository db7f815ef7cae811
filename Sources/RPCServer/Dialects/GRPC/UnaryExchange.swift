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

  /// Calls what the body, which is whole, asks for.
  func run() {
    let core = dialect.core
    do throws(RPCError) {
      let body = stream.body.copy()
      let call = try format.resolve(
        body.span.bytes, fromConnect: isFromConnect, overloads, in: dialect.host.catalogue)
      procedure = call.procedure
      var context = CallContext()
      context.metadata = stream.head.metadataMap()
      try core.start(
        UInt64(id), call.procedure, call.arguments, timeoutNanoseconds: stream.head.timeout, context: context,
        on: dialect.connection, caller: caller, sink: self)
    } catch {
      core.failed(procedure, error, by: caller)
      answer(.failure(error))
    }
  }

  func end(_ outcome: CallOutcome) {
    guard stream.id == id, !stream.isAnswered, dialect.socket.isReceiving else { return }
    answer(outcome)
    dialect.flush()
  }

  private func answer(_ outcome: CallOutcome) {
    let head = format.append(
      outcome, of: procedure, type: type, limit: dialect.host.options.jsonBytes, to: &stream.reply)
    dialect.finish(stream, head)
  }
}
