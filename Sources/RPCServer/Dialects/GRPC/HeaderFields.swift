internal import RPCWire

/// The header fields of a request that are kept as text, in memory which later requests use again: most procedures never
/// look at them. An object, so that the head around it stays plain.
internal final class HeaderFields {
  // Each is changed in one step while nobody else is called.
  @exclusivity(unchecked) private var path = ByteQueue()
  @exclusivity(unchecked) private var authority = ByteQueue()
  /// Of each field of metadata the lengths of its name and its value, then both.
  @exclusivity(unchecked) private var metadata = ByteQueue()
  /// Bytes that are kept from one use to the next.
  private static let keptBytes = 4 * 1024
  func setPath(_ value: UnsafeBufferPointer<UInt8>) {
    path.removeAll()
    // What is longer than all fields may be is refused for that.
    let kept = UnsafeRawBufferPointer(
      rebasing: UnsafeRawBufferPointer(value).prefix(GRPCLimits.headerBytesMax))
    path.append(RawSpan(_unsafeBytes: kept))
  }

  func setAuthority(_ value: UnsafeBufferPointer<UInt8>) {
    authority.removeAll()
    authority.append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(value)))
  }

  var pathText: String { path.withReadable { String(decoding: $0, as: UTF8.self) } }
  var authorityText: String { authority.withReadable { String(decoding: $0, as: UTF8.self) } }
  var hasAuthority: Bool { !authority.isEmpty }

  /// Adds a field of metadata.
  func append(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    // A request has some KiB of fields at most.
    metadata.append(littleEndian: UInt32(name.count) | UInt32(value.count) << 16)
    metadata.append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(name)))
    metadata.append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(value)))
  }

  func removeAll() {
    if path.allocatedBytes > Self.keptBytes { path = ByteQueue() } else { path.removeAll() }
    authority.removeAll()
    if metadata.allocatedBytes > Self.keptBytes { metadata = ByteQueue() } else { metadata.removeAll() }
  }

  /// Calls `use` with each field of metadata: text, or the bytes of one whose name ends in `-bin`, of which there may be
  /// several.
  func forEach(_ use: (_ name: String, _ value: Value) -> Void) {
    metadata.withReadable { bytes in
      var offset = 0
      while offset < bytes.count {
        let counts = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        let middle = offset + 4 + Int(counts & 0xffff)
        let name = UnsafeRawBufferPointer(rebasing: bytes[offset + 4..<middle]).bindMemory(to: UInt8.self)
        offset = middle + Int(counts >> 16)
        let value = UnsafeRawBufferPointer(rebasing: bytes[middle..<offset]).bindMemory(to: UInt8.self)
        let text = String(decoding: name, as: UTF8.self)
        guard Self.isBinary(name) else {
          use(text, .string(String(decoding: value, as: UTF8.self)))
          continue
        }
        for bytes in Self.bytes(value) ?? [] { use(text, .bytes(bytes)) }
      }
    }
  }

  /// Whether the value of such a field is bytes.
  static func isBinary(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
    name.count > 4 && name.suffix(4).elementsEqual("-bin".utf8)
  }

  /// The bytes of such a field's values, nil where they are not base64.
  static func bytes(_ value: UnsafeBufferPointer<UInt8>) -> [[UInt8]]? {
    var all: [[UInt8]] = []
    for part in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      var text = String(decoding: part, as: UTF8.self)
      while text.utf8.count % 4 != 0 { text += "=" }
      guard let bytes = Base64.decode(text) else { return nil }
      all.append(bytes)
    }
    return all
  }
}
