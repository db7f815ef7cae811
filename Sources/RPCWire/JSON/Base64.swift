/// Base64 as RFC 4648 section 4 has it, padded: how `bytes` travel in JSON.
package enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private static let padding = UInt8(ascii: "=")

  package static func encode(_ bytes: [UInt8]) -> String {
    var queue = ByteQueue()
    encode(bytes, to: &queue)
    return queue.text
  }

  static func encode(_ bytes: [UInt8], to queue: inout ByteQueue) {
    unsafe encode(bytes.span.bytes, to: &queue)
  }

  static func encode(_ bytes: RawSpan, to queue: inout ByteQueue) {
    unsafe bytes.withUnsafeBytes { unsafe encode($0, to: &queue) }
  }

  private static func encode(_ bytes: UnsafeRawBufferPointer, to queue: inout ByteQueue) {
    queue.reserve((bytes.count + 2) / 3 * 4)
    var index = 0
    while index < bytes.count {
      let left = min(bytes.count - index, 3)
      var group = unsafe UInt32(bytes[index]) << 16
      if left > 1 { unsafe group |= UInt32(bytes[index + 1]) << 8 }
      if left > 2 { unsafe group |= UInt32(bytes[index + 2]) }
      queue.append(alphabet[Int(group >> 18)])
      queue.append(alphabet[Int(group >> 12 & 63)])
      queue.append(left > 1 ? alphabet[Int(group >> 6 & 63)] : padding)
      queue.append(left > 2 ? alphabet[Int(group & 63)] : padding)
      index += 3
    }
  }

  /// The bytes, or nil where the text is not exactly what `encode` writes: another alphabet, missing
  /// padding, spaces and stray bits are refused.
  package static func decode(_ text: some StringProtocol) -> [UInt8]? {
    unsafe decode(Array(text.utf8).span.bytes)
  }

  /// As `decode` of a text.
  static func decode(_ text: RawSpan) -> [UInt8]? {
    unsafe text.withUnsafeBytes { unsafe decode($0) }
  }

  private static func decode(_ symbols: UnsafeRawBufferPointer) -> [UInt8]? {
    guard symbols.count % 4 == 0 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(symbols.count / 4 * 3)
    var index = 0
    while index < symbols.count {
      var padded = 0
      if index + 4 == symbols.count {
        if unsafe symbols[index + 3] == padding { padded = unsafe symbols[index + 2] == padding ? 2 : 1 }
      }
      var group: UInt32 = 0
      for position in 0..<(4 - padded) {
        guard let six = unsafe value(of: symbols[index + position]) else { return nil }
        group |= six << UInt32(18 - 6 * position)
      }
      // Bits that no byte takes must be zero, or two texts would mean the same bytes.
      guard padded == 0 || group & (padded == 1 ? 0xff : 0xffff) == 0 else { return nil }
      bytes.append(UInt8(truncatingIfNeeded: group >> 16))
      if padded < 2 { bytes.append(UInt8(truncatingIfNeeded: group >> 8)) }
      if padded < 1 { bytes.append(UInt8(truncatingIfNeeded: group)) }
      index += 4
    }
    return bytes
  }

  private static func value(of symbol: UInt8) -> UInt32? {
    switch symbol {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(symbol - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(symbol - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(symbol - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
