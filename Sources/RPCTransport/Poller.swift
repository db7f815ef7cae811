internal import CLinux
internal import Glibc
internal import RPCSystem

/// What a descriptor is watched for.
package struct Interest: OptionSet, Hashable, Sendable {
  package let rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue }
  package static let readable = Interest(rawValue: 1)
  package static let writable = Interest(rawValue: 2)
}

/// What the kernel says of a descriptor.
package struct Readiness: OptionSet, Hashable, Sendable {
  package let rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue }
  package static let readable = Readiness(rawValue: 1)
  package static let writable = Readiness(rawValue: 2)
  /// Both directions are closed, or an error is pending: reading tells which.
  package static let hangup = Readiness(rawValue: 4)
}

/// Owns the epoll instance and the array its events are reported into. Level-triggered: what was not read is
/// reported again, so a connection may stop after one read and its neighbours have their turn.
internal struct Poller: ~Copyable {
  private let epoll: Descriptor
  private let events: UnsafeMutablePointer<epoll_event>
  static let eventsPerWait = 512

  init() throws(SystemError) {
    let raw = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard raw >= 0 else { throw .last("epoll_create1") }
    epoll = Descriptor(raw)
    events = .allocate(capacity: Self.eventsPerWait)
    events.initialize(repeating: epoll_event(), count: Self.eventsPerWait)
  }

  deinit {
    events.deallocate()
  }

  /// - Parameter edgeTriggered: reported once each time it becomes ready, whether or not it is read then.
  func add(
    _ descriptor: Int32, _ interest: Interest, token: UInt64, edgeTriggered: Bool = false
  ) throws(SystemError) {
    try control(EPOLL_CTL_ADD, descriptor, interest, token, edgeTriggered ? EPOLLET.rawValue : 0)
  }

  func modify(_ descriptor: Int32, _ interest: Interest, token: UInt64) throws(SystemError) {
    try control(EPOLL_CTL_MOD, descriptor, interest, token)
  }

  func remove(_ descriptor: Int32) {
    // Fails only where the descriptor is closed already, which removed it.
    _ = epoll_ctl(epoll.raw, EPOLL_CTL_DEL, descriptor, nil)
  }

  private func control(
    _ operation: Int32, _ descriptor: Int32, _ interest: Interest, _ token: UInt64, _ flags: UInt32 = 0
  ) throws(SystemError) {
    var event = epoll_event()
    event.events = flags
    if interest.contains(.readable) { event.events |= EPOLLIN.rawValue }
    if interest.contains(.writable) { event.events |= EPOLLOUT.rawValue }
    event.data.u64 = token
    guard epoll_ctl(epoll.raw, operation, descriptor, &event) == 0 else { throw .last("epoll_ctl") }
  }

  /// Waits up to `milliseconds` (-1: for ever) and returns how many events there are.
  func wait(milliseconds: Int32) -> Int {
    let count = rpc_epoll_wait(epoll.raw, events, Int32(Self.eventsPerWait), milliseconds)
    if count >= 0 { return Int(count) }
    precondition(errno == EINTR, "epoll_wait fails only when it is interrupted")
    return 0
  }

  @inline(__always)
  func event(_ index: Int) -> (token: UInt64, readiness: Readiness) {
    let event = events[index]
    var readiness: Readiness = []
    if event.events & EPOLLIN.rawValue != 0 { readiness.insert(.readable) }
    if event.events & EPOLLOUT.rawValue != 0 { readiness.insert(.writable) }
    if event.events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { readiness.insert(.hangup) }
    return (event.data.u64, readiness)
  }
}
