internal import RPCProto
internal import RPCWire
internal import SwiftProtobuf

/// What answers a stream that is not a procedure's: reflection, or a watch on health.
internal protocol BuiltinStream: AnyObject {
  /// More of the body is there.
  func received()
  /// The peer sends no more.
  func requestHasEnded()
  func generationChanged()
  /// The server takes no more calls.
  func serverDrains()
  func closed()
}

extension BuiltinStream {
  func generationChanged() {}
  func closed() {}
}

extension GRPCBuiltin {
  func makeStream(_ stream: GRPCStream, _ dialect: GRPCDialect) -> any BuiltinStream {
    switch self {
    case .reflection, .reflectionAlpha: ReflectionStream(stream, dialect)
    case .healthWatch, .healthCheck, .healthList: HealthWatch(stream, dialect)
    }
  }
}

extension GRPCDialect {
  /// Answers a method that takes one message and is not a procedure.
  func answer(_ builtin: GRPCBuiltin, _ stream: GRPCStream) {
    let health = Health(host)
    let message = stream.messageBytes(stream.body.count - Self.prefixBytes)
    switch builtin {
    case .healthCheck:
      guard let request = try? Grpc_Health_V1_HealthCheckRequest(serializedBytes: message) else {
        return respond(stream, GRPCStatus(.invalidArgument, "not a HealthCheckRequest"))
      }
      guard let status = health.status(of: request.service) else {
        return respond(
          stream, GRPCStatus(.notFound, "no service '\(request.service.prefix(128))' is served here"))
      }
      append(Health.response(status), to: stream)
    case .healthList: append(health.list(), to: stream)
    case .healthWatch, .reflection, .reflectionAlpha:
      preconditionFailure("streams have an object of their own")
    }
    finish(stream)
  }

  /// Adds a message with its prefix to a reply.
  func append(_ message: some SwiftProtobuf.Message, to stream: GRPCStream) {
    guard let bytes: [UInt8] = try? message.serializedBytes() else {
      preconditionFailure("nothing in it is required")
    }
    stream.reply.append(0 as UInt8)
    stream.reply.append(bigEndian: UInt32(bytes.count))
    stream.reply.append(bytes)
  }

  /// Sends one of several messages.
  func send(_ message: some SwiftProtobuf.Message, on stream: GRPCStream) {
    let before = stream.reply.count
    append(message, to: stream)
    held(stream.reply.count - before)
    submitReply(stream)
    resume(stream)
  }

  /// Ends an answer of several messages.
  func end(_ stream: GRPCStream, _ status: GRPCStatus) {
    guard stream.status == nil else { return }
    if !stream.isAnswered, status.code != .ok { return respond(stream, status) }
    stream.status = status
    if stream.head.isWeb {
      let before = stream.reply.count
      appendWebTrailers(stream, status)
      held(stream.reply.count - before)
    }
    submitReply(stream)
    resume(stream)
  }

  /// The next whole message of a stream, or nil where it is not there yet; what breaks the rules ends the stream.
  func nextMessage(of stream: GRPCStream) -> [UInt8]? {
    guard let length = stream.messageLength else { return nil }
    guard length <= GRPCLimits.builtinRequestBytesMax else {
      let error = RPCError(
        .resourceExhausted,
        "a request of \(length) bytes is larger than the limit of \(GRPCLimits.builtinRequestBytesMax) bytes",
        actual: length, limit: GRPCLimits.builtinRequestBytesMax, unit: .bytes)
      end(stream, GRPCStatus(error))
      return nil
    }
    guard stream.isCompressed == 0 else {
      end(stream, GRPCStatus(.internal, "a message is compressed, and 'grpc-encoding' does not say how"))
      return nil
    }
    guard stream.body.count >= Self.prefixBytes + length else { return nil }
    let message = stream.messageBytes(length)
    stream.body.consume(Self.prefixBytes + length)
    bodyBytes -= Self.prefixBytes + length
    return message
  }
}
