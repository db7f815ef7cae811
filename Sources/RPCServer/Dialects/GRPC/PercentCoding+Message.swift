internal import RPCWire

extension PercentCoding {
  /// What `grpc-message` is written in: UTF-8, where all but printable ASCII is percent-encoded.
  package static func encode(message text: String) -> String {
    var result: [UInt8] = []
    for byte in text.utf8 {
      if (0x20...0x7e).contains(byte), byte != UInt8(ascii: "%") {
        result.append(byte)
      } else {
        result.append(UInt8(ascii: "%"))
        for nibble in [byte >> 4, byte & 15] { result.append(nibble < 10 ? 48 + nibble : 55 + nibble) }
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
