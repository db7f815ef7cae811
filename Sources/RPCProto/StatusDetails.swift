package import RPCWire

/// `google.rpc.Status` with its details, as gRPC's clients read them.
package enum StatusDetails {
  private static let domain = "simplerpc"
  private static let errorInfo = "type.googleapis.com/google.rpc.ErrorInfo"
  private static let retryInfo = "type.googleapis.com/google.rpc.RetryInfo"

  package static func encode(_ error: RPCError, code: StatusCode, message: String) -> [UInt8] {
    var output = ByteQueue()
    output.append(tag: 1, .varint)
    output.append(varint: UInt64(code.rawValue))
    output.append(field: 2, Array(message.utf8).span.bytes)
    detail(errorInfo, to: &output) { info in
      info.append(field: 1, Array(error.exception.rawValue.utf8).span.bytes)
      info.append(field: 2, Array(domain.utf8).span.bytes)
      for (key, value) in facts(error) {
        let entry = info.beginField(3)
        info.append(field: 1, Array(key.utf8).span.bytes)
        info.append(field: 2, Array(value.utf8).span.bytes)
        info.endField(entry)
      }
    }
    if let milliseconds = error.retryAfterMilliseconds {
      detail(retryInfo, to: &output) { info in
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

  private static func facts(_ error: RPCError) -> [(String, String)] {
    var facts = [("executed", "\(error.executed)")]
    if let source = error.source { facts.append(("source", source)) }
    if let actual = error.actual { facts.append(("actual", "\(actual)")) }
    if let limit = error.limit { facts.append(("limit", "\(limit)")) }
    if let unit = error.unit { facts.append(("unit", unit.rawValue)) }
    return facts
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
