import Glibc
import RPCSystem
import RPCTransport

/// Ports that nobody uses: below those that the system gives to outgoing connections, each handed out once.
enum FreePort {
  private static let next = Lock<Int>(10_000 + Int.random(in: 0..<20_000))

  static func take() throws -> Int {
    for _ in 0..<1000 {
      let port = next.withLock { next in
        next = next >= 32_000 ? 10_000 : next + 1
        return next
      }
      if isFree(port) { return port }
    }
    throw Failure("no free port")
  }

  private static func isFree(_ port: Int) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    return withUnsafePointer(to: address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }
}
