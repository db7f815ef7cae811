package import RPCWire

/// `google.rpc.Status` with its details, as gRPC's clients read them.
package enum StatusDetails {
  private static let errorInfoType = "type.googleapis.com/google.rpc.ErrorInfo"
  private static let retryInfoType = "type.googleapis.com/google.rpc.RetryInfo"

  /// - Parameter info: a `google.rpc.ErrorInfo`.
  package static func encode(_ error: RPCError, code: StatusCode, message: String, info: [UInt8]) -> [UInt8] {
    var output = ByteQueue()
    output.append(tag: 1, .varint)
    output.append(varint: UInt64(code.rawValue))
    output.append(field: 2, Array(message.utf8).span.bytes)
    detail(errorInfoType, to: &output) { $0.append(info) }
    if let milliseconds = error.retryAfterMilliseconds {
      detail(retryInfoType, to: &output) { info in
        let duration = info.beginField(1)
        info.append(tag: 1, .varint)
        info.append(varint: UInt64(milliseconds / 1000))
        info.append(tag: 2, .varint)
        info.append(varint: UInt64(milliseconds % 1000 * 1_000_000))
        info.endField(duration)
      }
    }
    return output.copy()
  }

  /// A `google.rpc.ErrorInfo`: `metadata` is a map of strings.
  package static func errorInfo(
    reason: String, domain: String, metadata: [(key: String, value: String)]
  ) -> [UInt8] {
    var output = ByteQueue()
    func append(_ field: UInt32, _ text: String) {
      output.append(field: field, Array(text.utf8).span.bytes)
    }
    append(1, reason)
    append(2, domain)
    for entry in metadata {
      let pair = output.beginField(3)
      append(1, entry.key)
      append(2, entry.value)
      output.endField(pair)
    }
    return output.copy()
  }

  /// A `google.protobuf.Any` with a message in it.
  private static func detail(
    _ type: String, to output: inout ByteQueue, _ body: (inout ByteQueue) -> Void
  ) {
    let any = output.beginField(3)
    output.append(field: 1, Array(type.utf8).span.bytes)
    let message = output.beginField(2)
    body(&output)
    output.endField(message)
    output.endField(any)
  }
}
