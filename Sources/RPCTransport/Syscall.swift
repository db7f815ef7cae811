internal import CLinux
internal import Glibc

/// The result of moving bytes. Would-block is an outcome, not an error.
package enum Transfer: Equatable, Sendable {
  case moved(Int)
  case wouldBlock
  /// The peer ended its side (of receiving only).
  case ended
  case failed(errno: Int32)
}

/// The system calls of the data path, with EINTR repeated in one place.
package enum Syscall {
  @inline(__always)
  package static func receive(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Transfer {
    while true {
      let count = rpc_receive(descriptor, buffer.baseAddress, buffer.count)
      if count > 0 { return .moved(count) }
      if count == 0 { return .ended }
      // errno is read before anything else can change it.
      let code = errno
      if code == EINTR { continue }
      return code == EAGAIN ? .wouldBlock : .failed(errno: code)
    }
  }

  @inline(__always)
  package static func send(_ descriptor: Int32, _ buffer: UnsafeRawBufferPointer) -> Transfer {
    while true {
      // MSG_NOSIGNAL: a peer that is gone is an error of this connection, not a signal to the process.
      let count = rpc_send(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_NOSIGNAL))
      if count >= 0 { return .moved(count) }
      let code = errno
      if code == EINTR { continue }
      return code == EAGAIN ? .wouldBlock : .failed(errno: code)
    }
  }
}
