import CLinux
import Foundation

/// Where procedures report that they run and wait to be let go on: how a test knows that a call is in flight
/// without waiting for time to pass.
final class SocketGate: Sendable {
  let port: Int
  private let listener: Int32

  /// The Python function that comes to the gate: `pass_gate(port)`.
  static let python = """
    import socket

    def pass_gate(port):
        with socket.create_connection(("127.0.0.1", port)) as gate:
            gate.recv(1)
    """

  init() throws {
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var timeout = timeval(tv_sec: Int(ChildProcess.timeoutSeconds), tv_usec: 0)
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = listener
    let isReady = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && listen(descriptor, 64) == 0
          && getsockname(descriptor, $0, &size) == 0
      }
    }
    port = Int(UInt16(bigEndian: address.sin_port))
    guard isReady else { throw Failure("no gate") }
  }

  deinit { close(listener) }

  /// Somebody who waits at the gate; goes on when this ends.
  final class Visitor: Sendable {
    private let descriptor: Int32
    init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit { close(descriptor) }
    func letGo() { _ = send(descriptor, "x", 1, ChildProcess.noSignal) }

    /// Waits until the visitor is gone, whichever side ended it.
    func waitUntilGone() throws {
      var timeout = timeval(tv_sec: Int(ChildProcess.timeoutSeconds), tv_usec: 0)
      setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
      var byte: UInt8 = 0
      var count: Int
      // What it says meanwhile is of no interest.
      repeat { count = recv(descriptor, &byte, 1, 0) } while count > 0
      guard count == 0 || (count < 0 && errno == ECONNRESET) else {
        throw Failure("the procedure runs still")
      }
    }
  }

  /// Waits until a procedure has come.
  func admit() throws -> Visitor {
    let descriptor = rpc_accept(listener, nil, nil)
    guard descriptor >= 0 else { throw Failure("no procedure came to the gate") }
    rpc_set_nonblocking(descriptor, 0)
    return Visitor(descriptor)
  }
}
