internal import RPCWire

/// The fields of a request as the metadata of its call: names in lower case, values as text, several of one name as a
/// list with commas. Without who is calling and what is about the connection.
internal struct HTTPMetadata {
  private static let left: Set<String> = [
    // Secrets, which are for the server alone.
    "authorization", "cookie", "proxy-authorization",
    // Of the connection or the body.
    "connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
    // What the call has as its deadline.
    "connect-timeout-ms", "connect-protocol-version", "grpc-timeout",
    // Said by servers alone.
    CallFrame.depthKey,
  ]

  private var entries: [Value.Entry] = []

  /// - Parameter name: in lower case.
  mutating func add(_ name: String, _ value: String) {
    guard !Self.left.contains(name) else { return }
    if let index = entries.firstIndex(where: { $0.key == name }),
      case .string(let before) = entries[index].value
    {
      entries[index].value = .string("\(before), \(value)")
    } else {
      entries.append(Value.Entry(name, .string(value)))
    }
  }

  /// A MessagePack map, or nothing where there is no metadata.
  ///
  /// - Throws: `ResourceExhausted` where it is more than a call's may be.
  func messagePack() throws(RPCError) -> [UInt8] {
    guard !entries.isEmpty else { return [] }
    let bytes = Value.map(entries).messagePack
    guard bytes.count <= WireLimits.metadataBytesMax else {
      throw RPCError(
        .resourceExhausted,
        "the fields of the request are \(bytes.count) bytes of metadata, the limit is \(WireLimits.metadataBytesMax)",
        actual: bytes.count, limit: WireLimits.metadataBytesMax, unit: .bytes)
    }
    return bytes
  }

  /// The metadata of a request of HTTP/1.1.
  static func messagePack(of head: HTTP1Head, in bytes: RawSpan) throws(RPCError) -> [UInt8] {
    var metadata = HTTPMetadata()
    for field in head.fields {
      metadata.add(bytes.text(field.name).lowercased(), bytes.text(field.value))
    }
    return try metadata.messagePack()
  }
}
