internal import Glibc

/// A range of IP addresses: `10.0.0.0/8`, `fd00::/8`, or a single address, which is a range of one.
package struct IPBlock: Hashable, Sendable {
  /// Four bytes or sixteen, in network order; those behind the prefix are zero.
  package let bytes: [UInt8]
  package let prefixLength: Int

  /// Reads an address with or without `/prefix`; nil where it is neither. Bits behind the prefix must be zero,
  /// as in `10.0.0.0/8`: `10.1.2.3/8` is more likely a mistake than a network.
  package init?(parsing text: String) {
    let slash = text.utf8.firstIndex(of: UInt8(ascii: "/"))
    guard let bytes = Self.address(String(text[..<(slash ?? text.endIndex)])) else { return nil }
    var prefixLength = bytes.count * 8
    if let slash {
      let length = text[slash...].dropFirst()
      guard length.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let given = Int(length),
        given <= prefixLength
      else { return nil }
      prefixLength = given
    }
    guard Self.masked(bytes, prefixLength) == bytes else { return nil }
    let unmapped = prefixLength >= 96 ? Self.unmapped(bytes) : bytes
    self.bytes = unmapped
    self.prefixLength = prefixLength - (bytes.count - unmapped.count) * 8
  }

  /// The network that `10.1.2.3/8` is in, whose bits behind the prefix are not zero; nil for anything else.
  package init?(enclosing text: String) {
    guard let slash = text.utf8.firstIndex(of: UInt8(ascii: "/")),
      let bytes = Self.address(String(text[..<slash])),
      case let length = text[slash...].dropFirst(), let prefixLength = Int(length),
      length.utf8.allSatisfy({ (0x30...0x39).contains($0) }), prefixLength <= bytes.count * 8
    else { return nil }
    self.init(parsing: "\(Self(bytes: Self.masked(bytes, prefixLength), prefixLength: prefixLength))")
  }

  private init(bytes: [UInt8], prefixLength: Int) {
    self.bytes = bytes
    self.prefixLength = prefixLength
  }

  /// The bytes of a numeric IPv4 or IPv6 address, or nil.
  package static func address(_ text: String) -> [UInt8]? {
    // inet_pton stops at a NUL, which a text from a file may hold.
    guard !text.isEmpty, text.utf8.count < 64, !text.utf8.contains(0) else { return nil }
    var bytes = [UInt8](repeating: 0, count: 16)
    if text.utf8.contains(UInt8(ascii: ":")) {
      return inet_pton(AF_INET6, text, &bytes) == 1 ? bytes : nil
    }
    return inet_pton(AF_INET, text, &bytes) == 1 ? Array(bytes.prefix(4)) : nil
  }

  /// Whether it is one address rather than a network.
  package var isSingle: Bool { prefixLength == bytes.count * 8 }

  /// Whether an address, as the bytes of a socket address, is in the range. An IPv4 address that a
  /// dual-stack socket shows as `::ffff:a.b.c.d` is that IPv4 address.
  package func contains(_ address: [UInt8]) -> Bool {
    // Compared in place: a server asks this of every registered client for each connection.
    let address = Self.unmapped(address)
    guard address.count == bytes.count else { return false }
    let whole = prefixLength / 8
    guard address.prefix(whole) == bytes.prefix(whole) else { return false }
    let bits = prefixLength % 8
    return bits == 0 || (address[whole] ^ bytes[whole]) >> (8 - bits) == 0
  }

  private static func unmapped(_ address: [UInt8]) -> [UInt8] {
    let prefix: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
    return address.count == 16 && address.starts(with: prefix) ? Array(address.suffix(4)) : address
  }

  private static func masked(_ address: [UInt8], _ prefixLength: Int) -> [UInt8] {
    address.enumerated().map { index, byte in
      let bits = min(8, max(0, prefixLength - index * 8))
      return byte & UInt8(truncatingIfNeeded: 0xff00 >> bits)
    }
  }
}

extension IPBlock: CustomStringConvertible {
  package var description: String {
    var text = [CChar](repeating: 0, count: 64)
    let family = bytes.count == 4 ? AF_INET : AF_INET6
    guard inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return "?" }
    let address = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return isSingle ? address : "\(address)/\(prefixLength)"
  }
}
