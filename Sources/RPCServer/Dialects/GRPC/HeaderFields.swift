internal import RPCWire

/// Header fields in one piece of memory, which later requests use again: most procedures never look at them.
internal struct HeaderFields {
  /// Of each field the lengths of its name and its value, then both.
  private var bytes: [UInt8] = []
  /// Bytes that are kept from one use to the next.
  private static let keptBytes = 4 * 1024

  mutating func append(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    // A request has some KiB of fields at most.
    for count in [name.count, value.count] {
      bytes.append(UInt8(truncatingIfNeeded: count >> 8))
      bytes.append(UInt8(truncatingIfNeeded: count))
    }
    bytes.append(contentsOf: name)
    bytes.append(contentsOf: value)
  }

  mutating func removeAll() {
    guard !bytes.isEmpty else { return }
    bytes.removeAll(keepingCapacity: bytes.capacity <= Self.keptBytes)
  }

  /// Calls `use` with each field: text, or the bytes of one whose name ends in `-bin`, of which there may be several.
  func forEach(_ use: (_ name: String, _ value: Value) -> Void) {
    bytes.withUnsafeBufferPointer { bytes in
      var offset = 0
      func count() -> Int {
        defer { offset += 2 }
        return Int(bytes[offset]) << 8 | Int(bytes[offset + 1])
      }
      func part(_ count: Int) -> UnsafeBufferPointer<UInt8> {
        defer { offset += count }
        return UnsafeBufferPointer(rebasing: bytes[offset..<offset + count])
      }
      while offset < bytes.count {
        let (nameCount, valueCount) = (count(), count())
        let (name, value) = (part(nameCount), part(valueCount))
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
