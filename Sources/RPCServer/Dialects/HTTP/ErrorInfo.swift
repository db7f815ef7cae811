internal import RPCProto
internal import RPCWire

/// What is known of an error besides its code and message, as google.rpc.ErrorInfo: `reason` is the exception, `metadata`
/// the rest. Connect's and gRPC's details carry it.
internal struct ErrorInfo {
  static let domain = "simplerpc"
  let reason: String
  let metadata: [(key: String, value: String)]

  init(_ error: RPCError) {
    reason = error.exception.rawValue
    var metadata = [(key: "executed", value: "\(error.executed)")]
    if let source = error.source { metadata.append(("source", source)) }
    if let actual = error.actual { metadata.append(("actual", "\(actual)")) }
    if let limit = error.limit { metadata.append(("limit", "\(limit)")) }
    if let unit = error.unit { metadata.append(("unit", unit.rawValue)) }
    if let wait = error.retryAfterMilliseconds { metadata.append(("retry-after-ms", "\(wait)")) }
    self.metadata = metadata
  }

  /// As people read it.
  var json: Value {
    .map(
      [
        Value.Entry("reason", .string(reason)), Value.Entry("domain", .string(Self.domain)),
        Value.Entry("metadata", .map(metadata.map { Value.Entry($0.key, .string($0.value)) })),
      ])
  }

  var protobuf: [UInt8] {
    StatusDetails.errorInfo(reason: reason, domain: Self.domain, metadata: metadata)
  }
}

extension Base64 {
  /// Without padding, as Connect and gRPC write bytes in text.
  internal static func unpadded(_ bytes: [UInt8]) -> String {
    let text = encode(bytes)
    return String(text.prefix { $0 != "=" })
  }
}
