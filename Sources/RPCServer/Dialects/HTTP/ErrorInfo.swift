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

  /// `reason` is field 1, `domain` 2, `metadata` 3, a map of strings.
  var protobuf: [UInt8] {
    var bytes: [UInt8] = []
    Self.append(1, Array(reason.utf8), to: &bytes)
    Self.append(2, Array(Self.domain.utf8), to: &bytes)
    for entry in metadata {
      var pair: [UInt8] = []
      Self.append(1, Array(entry.key.utf8), to: &pair)
      Self.append(2, Array(entry.value.utf8), to: &pair)
      Self.append(3, pair, to: &bytes)
    }
    return bytes
  }

  /// A field that has a length.
  private static func append(_ field: UInt8, _ value: [UInt8], to bytes: inout [UInt8]) {
    bytes.append(field << 3 | 2)
    var count = value.count
    while count >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: count) | 0x80)
      count >>= 7
    }
    bytes.append(UInt8(count))
    bytes += value
  }
}

extension Base64 {
  /// Without padding, as Connect and gRPC write bytes in text.
  internal static func unpadded(_ bytes: [UInt8]) -> String {
    let text = encode(bytes)
    return String(text.prefix { $0 != "=" })
  }
}
