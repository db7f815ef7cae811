import Glibc

/// Keys from the terminal, decoded from UTF-8. Takes one byte at a time: what was typed ahead stays with the terminal,
/// for the program that reads it next.
struct InputReader {
  private var bytes: [UInt8] = []
  private var offset = 0
  private(set) var isAtEnd = false

  /// Whether a whole character is there already.
  var hasInput: Bool { Self.length(at: offset, in: bytes) != nil }

  /// The next character that is there, nil when it must be read first. Bytes that are not UTF-8 become U+FFFD.
  mutating func next() -> Unicode.Scalar? {
    guard let length = Self.length(at: offset, in: bytes) else { return nil }
    let slice = bytes[offset..<offset + length]
    offset += length
    if offset == bytes.count {
      bytes.removeAll(keepingCapacity: true)
      offset = 0
    }
    return String(decoding: slice, as: UTF8.self).unicodeScalars.first
  }

  /// Puts a character in front of all others.
  mutating func push(_ scalar: Unicode.Scalar) {
    bytes.replaceSubrange(0..<offset, with: Array(String(scalar).utf8))
    offset = 0
  }

  /// Reads what the descriptor has, `most` bytes of it. It must be readable.
  mutating func fill(from descriptor: Int32, most: Int = 1) {
    if offset > 0 {
      bytes.removeFirst(offset)
      offset = 0
    }
    var buffer = [UInt8](repeating: 0, count: most)
    let count = read(descriptor, &buffer, buffer.count)
    if count > 0 {
      bytes.append(contentsOf: buffer[..<count])
    } else if count == 0 || errno != EINTR && errno != EAGAIN {
      isAtEnd = true
    }
  }

  /// Drops what was typed ahead.
  mutating func clear() {
    bytes = []
    offset = 0
  }

  /// How many bytes the character at `offset` takes, nil when it is not all there.
  private static func length(at offset: Int, in bytes: [UInt8]) -> Int? {
    guard offset < bytes.count else { return nil }
    let wanted =
      switch bytes[offset] {
      case 0xc2...0xdf: 2
      case 0xe0...0xef: 3
      case 0xf0...0xf4: 4
      default: 1
      }
    var length = 1
    while length < wanted {
      guard offset + length < bytes.count else { return nil }
      // Not a continuation: the character is broken off, and what is there is a character of its own.
      guard bytes[offset + length] & 0xc0 == 0x80 else { return length }
      length += 1
    }
    return length
  }
}
