internal import CLinux
internal import Glibc
package import RPCSystem

/// The two ends of `Socket.pair()`.
package struct SocketPair: ~Copyable {
  package let near: Descriptor
  package let far: Descriptor

  internal init(near: consuming Descriptor, far: consuming Descriptor) {
    self.near = near
    self.far = far
  }

  /// Hands both ends over.
  package consuming func split(_ body: (consuming Descriptor, consuming Descriptor) -> Void) {
    body(near, far)
  }
}

/// Opens stream sockets. All are non-blocking and closed on exec.
package enum Socket {
  /// A socket that listens on `address`.
  package static func listen(on address: SocketAddress, backlog: Int32) throws(SystemError) -> Descriptor {
    let descriptor = try bound(to: address)
    guard Glibc.listen(descriptor.raw, backlog) == 0 else { throw .last("listen on \(address)") }
    return descriptor
  }

  /// A socket that has the address of one that listens, and does not listen: nobody can connect to it.
  ///
  /// - Throws: why the address cannot be listened on.
  package static func bound(to address: SocketAddress) throws(SystemError) -> Descriptor {
    let descriptor = try open(address.family)
    setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
    // An IPv6 address means just that: the name server's file says where IPv4 is wanted.
    if address.family == AF_INET6 { setOption(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
    guard address.withPointer({ Glibc.bind(descriptor.raw, $0, $1) }) == 0 else {
      throw .last("bind \(address)")
    }
    return descriptor
  }

  /// Whether a descriptor is a socket that listens on `address`, whose port 0 stands for any.
  package static func listens(_ descriptor: Int32, on address: SocketAddress) -> Bool {
    func option(_ name: Int32) -> Int32? {
      var value: Int32 = 0
      var length = socklen_t(MemoryLayout<Int32>.size)
      return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
    }
    guard option(SO_ACCEPTCONN) == 1, option(SO_TYPE) == Int32(SOCK_STREAM.rawValue),
      let own = SocketAddress.local(of: descriptor), own.family == address.family
    else { return false }
    return own.ipBytes == address.ipBytes && (address.port == 0 || own.port == address.port)
  }

  /// A socket whose connection to `address` is under way: it becomes writable when that is decided, and
  /// `pendingError` tells how.
  package static func connect(
    to address: SocketAddress, from source: SocketAddress? = nil
  ) throws(SystemError) -> Descriptor {
    let descriptor = try open(address.family)
    setOption(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    if let source {
      setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
      guard source.withPointer({ Glibc.bind(descriptor.raw, $0, $1) }) == 0 else {
        throw .last("bind source address \(source)")
      }
    }
    let status = address.withPointer { Glibc.connect(descriptor.raw, $0, $1) }
    if status != 0, errno != EINPROGRESS, errno != EINTR { throw .last(.connect(to: "\(address)")) }
    return descriptor
  }

  /// The outcome of a connect that was under way: nil when it succeeded.
  package static func pendingError(of descriptor: Int32) -> Int32? {
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else { return errno }
    return code == 0 ? nil : code
  }

  /// Two connected stream sockets of this host.
  package static func pair() throws(SystemError) -> SocketPair {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw .last("socketpair") }
    return SocketPair(near: Descriptor(ends[0]), far: Descriptor(ends[1]))
  }

  /// Sends small frames at once instead of waiting for more.
  package static func setNoDelay(_ descriptor: Int32) {
    var value: Int32 = 1
    _ = setsockopt(
      descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &value, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Ends each connection that a listening socket accepts from now on once its peer's system is gone: when it has
  /// acknowledged nothing of what was sent for that long, or answers no probe on an idle connection. Without it, what
  /// a peer without power or network was sent stays in memory for a quarter of an hour, and an idle connection for
  /// ever. Accepted sockets inherit this, so that it costs an accept nothing.
  package static func endDeadPeers(_ descriptor: borrowing Descriptor, afterMilliseconds milliseconds: Int) {
    guard milliseconds > 0 else { return }
    let seconds = max(1, milliseconds / 1000)
    setOption(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, Int32(clamping: milliseconds))
    // The first probe at half of the time, and more until the end of it: one that is lost ends nothing.
    setOption(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
    setOption(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, Int32(clamping: max(1, seconds / 2)))
    setOption(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, Int32(clamping: max(1, seconds / 6)))
  }

  private static func open(_ family: Int32) throws(SystemError) -> Descriptor {
    let raw = socket(
      family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard raw >= 0 else { throw .last("open a socket") }
    return Descriptor(raw)
  }

  private static func setOption(
    _ descriptor: borrowing Descriptor, _ level: Int32, _ name: Int32, _ value: Int32
  ) {
    var value = value
    // Options tune; a kernel that refuses one still serves.
    _ = setsockopt(descriptor.raw, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
  }
}
