internal import RPCTransport
internal import RPCWire

/// Answers a call of the native dialect that could not be answered at once: a REPLY, or an ERROR.
internal final class NativeReplySink: ReplySink {
  private let dialect: NativeDialect
  private let callID: UInt64

  init(_ dialect: NativeDialect, callID: UInt64) {
    self.dialect = dialect
    self.callID = callID
  }

  func end(_ outcome: CallOutcome) {
    // An error of the whole connection is the last that is said on it.
    guard dialect.socket.isReceiving else { return }
    dialect.socket.send { append(outcome, to: &$0) }
  }

  private func append(_ outcome: CallOutcome, to output: inout ByteQueue) {
    switch outcome {
    case .success(let values) where values.count > dialect.peerFrameBytes:
      RPCError(
        .resourceExhausted, "the reply is larger than the caller takes", executed: .yes,
        actual: values.count, limit: dialect.peerFrameBytes, unit: .bytes
      ).encode(to: &output, callID: callID)
    case .success(let values):
      let mark = output.beginFrame(.reply, callID: callID)
      output.append(values)
      output.endFrame(mark)
    case .failure(let error): error.encode(to: &output, callID: callID)
    }
  }
}
