/// Reads what OpenSSH keeps in its key files: numbers of 4 bytes, most significant first, and strings behind
/// their length (RFC 4251, section 5).
struct KeyReader {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { offset == bytes.count }

  mutating func number() throws(KeyError) -> Int {
    try take(4).reduce(0) { $0 << 8 | Int($1) }
  }

  mutating func string() throws(KeyError) -> [UInt8] {
    Array(try take(try number()))
  }

  mutating func take(_ count: Int) throws(KeyError) -> ArraySlice<UInt8> {
    guard count <= bytes.count - offset else { throw KeyError("the key is cut short") }
    defer { offset += count }
    return bytes[offset..<offset + count]
  }
}
