internal import RPCProcedures
internal import RPCProto
internal import RPCTransport
internal import RPCWire

/// Answers a gRPC call that could not be answered at once.
internal final class GRPCReplySink: ReplySink {
  private let dialect: GRPCDialect
  private let stream: GRPCStream
  private let method: GRPCMethod
  /// The stream's number while it is this call's.
  private let id: Int32

  init(_ dialect: GRPCDialect, _ stream: GRPCStream, _ method: GRPCMethod) {
    self.dialect = dialect
    self.stream = stream
    self.method = method
    id = stream.id
  }

  private var isAwaited: Bool { stream.id == id && !stream.isAnswered && dialect.socket.isReceiving }

  func end(_ outcome: CallOutcome) {
    guard isAwaited else { return }
    switch outcome {
    case .failure(let error): dialect.respond(stream, GRPCStatus(error))
    case .success(let values) where values.count > BoundProcedure.spotBytes: return encodeBeside(values)
    case .success(let values): dialect.answer(stream, method, values.span.bytes)
    }
    dialect.flush()
  }

  /// A long result is written beside the loop.
  private func encodeBeside(_ values: [UInt8]) {
    let response = method.response
    let (isWeb, isText) = (!stream.head.isGRPC, stream.head.isWebText)
    dialect.connection.beside(holding: values.count) { () -> Result<[UInt8], ProtoError> in
      var reply = ByteQueue()
      return Result { () throws(ProtoError) in
        try GRPCDialect.append(response, values.span.bytes, to: &reply)
        if isWeb { GRPCDialect.appendWebTrailers(.ok, asText: isText, to: &reply) }
        return reply.copy()
      }
    } then: { [self] result in
      guard isAwaited else { return }
      switch result {
      case .success(let reply):
        stream.reply.append(reply)
        dialect.finishWhole(stream)
      case .failure(let error):
        dialect.respond(
          stream,
          GRPCStatus(
            RPCError(
              .executionException, "the result cannot be written as protobuf: \(error)", executed: .yes)))
      }
      dialect.flush()
    }
  }
}
