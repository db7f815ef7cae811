import Glibc
import RPCSystem

@testable import RPCTransport

extension SocketPair {
  /// Both ends as plain numbers, for a test to hand to threads.
  consuming func takeRawEnds() -> (near: Int32, far: Int32) {
    var raw: (near: Int32, far: Int32) = (-1, -1)
    split { near, far in raw = (near.release(), far.release()) }
    return raw
  }
}

/// The far end of a socket, driven by a thread of the test.
final class FarEnd: @unchecked Sendable {
  // Written by the peer's thread before it signals its end, read by the test after that.
  var bytes: [UInt8] = []

  func exchange(on descriptor: Int32, sending: [UInt8], chunk: Int, readsLate: Bool = false) {
    let reader = Latch()
    let start = Latch()
    if !readsLate { start.signal() }
    do {
      try LoopThread.spawn(name: "reader") { [self] in
        start.wait()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
          var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
          _ = Glibc.poll(&poll, 1, -1)
          let count = Glibc.read(descriptor, &buffer, buffer.count)
          if count < 0, errno == EAGAIN { continue }
          if count <= 0 { break }
          bytes.append(contentsOf: buffer[..<count])
        }
        reader.signal()
      }
    } catch {
      return
    }
    var offset = 0
    while offset < sending.count {
      let end = min(offset + chunk, sending.count)
      let count = sending[offset..<end].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 { offset += count }
      if count < 0, errno == EAGAIN {
        // Both directions are full: what the server holds is at its mark, so the reader may begin.
        start.signal()
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = Glibc.poll(&poll, 1, -1)
      }
    }
    start.signal()
    shutdown(descriptor, Int32(SHUT_WR))
    reader.wait()
    close(descriptor)
  }
}
