internal import CLinux
internal import Glibc
package import RPCSystem

/// An IPv4 or IPv6 address with a port.
public struct SocketAddress: Sendable {
  /// The larger of the two kinds: a `sockaddr_storage` would take four times that of each connection.
  private var storage = sockaddr_in6()
  private let length: socklen_t

  /// A literal address, or nil where `host` is none.
  package init?(ip host: String, port: Int) {
    guard let port = UInt16(exactly: port) else { return nil }
    var storage = sockaddr_in6()
    var v4 = in_addr()
    var v6 = in6_addr()
    if inet_pton(AF_INET, host, &v4) == 1 {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      address.sin_addr = v4
      withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: address, as: sockaddr_in.self) }
      length = socklen_t(MemoryLayout<sockaddr_in>.size)
    } else if inet_pton(AF_INET6, host, &v6) == 1 {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      address.sin6_addr = v6
      storage = address
      length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    } else {
      return nil
    }
    self.storage = storage
  }

  /// Takes an address of the system's over; nil where it is of another kind.
  private init?(_ address: UnsafeRawPointer?, length: socklen_t) {
    guard let address, Int(length) <= MemoryLayout<sockaddr_in6>.size,
      Int(length) >= MemoryLayout<sockaddr_in>.size
    else { return nil }
    self.length = length
    withUnsafeMutableBytes(of: &storage) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(length)))
    }
  }

  /// Every address of a host name, or of a literal, an IPv6 address in brackets too. Asks the system's resolver and
  /// so may block.
  package static func resolve(host: String, port: Int) throws(SystemError) -> [SocketAddress] {
    if let literal = SocketAddress(ip: host, port: port) { return [literal] }
    if host.hasPrefix("["), host.hasSuffix("]"),
      let literal = SocketAddress(ip: String(host.dropFirst().dropLast()), port: port)
    {
      return [literal]
    }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(host, String(port), &hints, &list)
    guard status == 0 else {
      let reason =
        status == EAI_SYSTEM ? String(cString: strerror(errno)) : String(cString: gai_strerror(status))
      throw SystemError(code: ENOENT, operation: "resolve '\(host)'", detail: reason)
    }
    defer { freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var next = list
    while let entry = next?.pointee {
      if let address = SocketAddress(entry.ai_addr, length: entry.ai_addrlen) { addresses.append(address) }
      next = entry.ai_next
    }
    return addresses
  }

  internal func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafePointer(to: storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
  }

  package var family: Int32 { Int32(storage.sin6_family) }

  package var port: Int {
    withUnsafeBytes(of: storage) { bytes in
      // The port is the second 16-bit field in both families.
      Int(UInt16(bigEndian: bytes.load(fromByteOffset: 2, as: UInt16.self)))
    }
  }

  /// The address without the port, as text.
  package var ip: String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    let offset = family == AF_INET ? 4 : 8
    withUnsafeBytes(of: storage) { bytes in
      _ = inet_ntop(family, bytes.baseAddress.map { $0 + offset }, &text, socklen_t(text.count))
    }
    return text.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
  }

  /// The bytes of the address: 4 or 16, an IPv4 address mapped into IPv6 as its 4.
  package var ipBytes: [UInt8] {
    withUnsafeBytes(of: storage) { bytes in
      if family == AF_INET { return Array(bytes[4..<8]) }
      let all = Array(bytes[8..<24])
      return all.prefix(12) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] ? Array(all.suffix(4)) : all
    }
  }

  package var isLoopback: Bool {
    let bytes = ipBytes
    return bytes.count == 4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
  }

  /// Of the near or far end of a connected or listening socket.
  package static func local(of descriptor: Int32) -> SocketAddress? {
    name(of: descriptor, getsockname)
  }

  package static func peer(of descriptor: Int32) -> SocketAddress? {
    name(of: descriptor, getpeername)
  }

  private static func name(
    of descriptor: Int32,
    _ call: (Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?) -> Int32
  ) -> SocketAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let status = withUnsafeMutablePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { call(descriptor, $0, &length) }
    }
    return status == 0 ? withUnsafePointer(to: storage) { SocketAddress($0, length: length) } : nil
  }
}

extension SocketAddress: CustomStringConvertible {
  public var description: String { family == AF_INET6 ? "[\(ip)]:\(port)" : "\(ip):\(port)" }
}
