internal import CLinux
internal import Glibc
package import RPCSystem

/// Somebody who is told when a descriptor is ready.
package protocol EventHandler: AnyObject {
  func ready(_ readiness: Readiness, on loop: EventLoop)
}

/// Names a watched descriptor. A watch of the past is told from the present one in the same slot.
package struct Watch: Hashable, Sendable {
  internal var slot: UInt32
  internal var generation: UInt32
  internal var token: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
}

/// One thread's loop: waits for descriptors, timers and mail, and calls their owners. Everything it
/// calls runs on its thread and must not block. It is not `Sendable`: other threads reach it through `mailbox`.
@usableFromInline package final class EventLoop {
  private struct Slot {
    var handler: (any EventHandler)?
    var generation: UInt32 = 0
    var descriptor: Int32 = -1
    /// Where the handler is, and what it asks first. Only ever prefetched, never read.
    var places: (UnsafeRawPointer?, UnsafeRawPointer?)
  }

  package let mailbox: Mailbox
  /// Nanoseconds of the monotonic clock when this turn began.
  @inlinable package var now: UInt64 { turnStarted }
  /// A plain number, read by everybody and written in one place: checking each access would cost more than it.
  @usableFromInline @exclusivity(unchecked) internal private(set) var turnStarted: UInt64
  /// Spin this long for the next event before sleeping, in nanoseconds; 0 sleeps at once. The spinning
  /// follows activity only, so an idle loop burns nothing.
  @exclusivity(unchecked) package var busyPollNanoseconds: UInt64 = 0

  /// What the loop's time is taken from; nil is the system's monotonic clock.
  private let clock: ManualClock?
  private let poller: Poller
  private let alarm: LoopCell<Alarm>
  private let slots = LoopCell(ContiguousArray<Slot>())
  private var freeSlots: ContiguousArray<UInt32> = []
  private let timers: LoopCell<TimerQueue>
  private let mail = LoopCell([Mailbox.Work]())
  private let endOfTurn = LoopCell(ContiguousArray<() -> Void>())
  private var isRunning = false
  private var isStopping = false
  internal let buffers = LoopCell(BufferPool())
  /// Where every connection of the loop reads into.
  internal let readBuffer: UnsafeMutableRawBufferPointer
  internal static let readBytesMax = 256 * 1024
  // Tokens that no slot has.
  private static let wakeupToken = UInt64.max
  private static let alarmToken = UInt64.max - 1

  /// - Parameter clock: for tests: the loop's time stands still until it is turned.
  package init(clock: ManualClock? = nil) throws(SystemError) {
    self.clock = clock
    mailbox = try Mailbox()
    poller = try Poller()
    turnStarted = clock?.now ?? SystemClock.monotonicNanoseconds()
    timers = LoopCell(TimerQueue(now: turnStarted))
    alarm = LoopCell(try Alarm())
    readBuffer = .allocate(byteCount: Self.readBytesMax, alignment: 64)
    clock?.onAdvance { [mailbox] in mailbox.post { _ in } }
    try poller.add(mailbox.wakeup.raw, .readable, token: Self.wakeupToken)
    try poller.add(alarm.value.descriptor.raw, .readable, token: Self.alarmToken, edgeTriggered: true)
  }

  deinit {
    buffers.value.removeAll()
    readBuffer.deallocate()
  }

  // MARK: Running

  @inline(__always)
  private var time: UInt64 { clock?.now ?? SystemClock.monotonicNanoseconds() }

  /// Runs until `stop`. Mail that is posted later is refused.
  package func run() {
    precondition(!isRunning, "a loop runs once at a time")
    isRunning = true
    var lastActivity = now
    while !isStopping {
      let count = waitForEvents(lastActivity: lastActivity)
      turnStarted = time
      if count > 0 { lastActivity = now }
      for index in 0..<count {
        let (token, readiness) = poller.event(index)
        if index &+ 1 < count { prefetch(poller.event(index &+ 1).token) }
        switch token {
        case Self.wakeupToken: mailbox.acknowledge()
        case Self.alarmToken: alarm.value.wentOff()
        default: deliver(token, readiness)
        }
      }
      while let due = timers.value.nextDue(now: now) { due.target.timerFired(tag: due.tag, on: self) }
      runMail()
      runEndOfTurn()
    }
    mailbox.close()
    isRunning = false
  }

  /// Ends `run` after this turn. From another thread: `mailbox.post { $0.stop() }`.
  package func stop() {
    isStopping = true
  }

  private func waitForEvents(lastActivity: UInt64) -> Int {
    let next = timers.value.next
    if next <= now { return poller.wait(milliseconds: 0) }
    if busyPollNanoseconds > 0 {
      repeat {
        let count = poller.wait(milliseconds: 0)
        if count > 0 || mailbox.hasWork { return count }
        turnStarted = time
      } while now &- lastActivity < busyPollNanoseconds
    }
    // A clock that was turned in the middle of this turn has had its mail taken already.
    let isTurned = clock.map { $0.now != now } ?? false
    guard endOfTurn.value.isEmpty, !isTurned, mailbox.prepareToSleep() else {
      return poller.wait(milliseconds: 0)
    }
    // One that is turned later wakes the loop itself.
    if clock == nil { alarm.value.set(by: next) }
    let count = poller.wait(milliseconds: -1)
    mailbox.awoke()
    return count
  }

  /// Has the next event's objects fetched while this one's system calls are made: of a thousand connections none is in
  /// the processor's cache.
  @inline(__always)
  private func prefetch(_ token: UInt64) {
    let slot = Int(UInt32(truncatingIfNeeded: token))
    guard slot < slots.value.count else { return }
    let (handler, inner) = slots.value[slot].places
    if let handler { rpc_prefetch(handler, 4) }
    if let inner { rpc_prefetch(inner, 3) }
  }

  @inline(__always)
  private func deliver(_ token: UInt64, _ readiness: Readiness) {
    let slot = Int(UInt32(truncatingIfNeeded: token))
    // An event of a descriptor that was closed earlier in this turn: the slot may have a new owner.
    guard slot < slots.value.count, slots.value[slot].generation == UInt32(truncatingIfNeeded: token >> 32),
      let handler = slots.value[slot].handler
    else { return }
    handler.ready(readiness, on: self)
  }

  private func runMail() {
    mailbox.take(into: &mail.value)
    guard !mail.value.isEmpty else { return }
    for work in mail.value { work(self) }
    mail.value.removeAll(keepingCapacity: mail.value.capacity <= 4096)
  }

  private func runEndOfTurn() {
    guard !endOfTurn.value.isEmpty else { return }
    // What these add is for the next turn, so that nobody keeps the loop from its sockets.
    var actions: ContiguousArray<() -> Void> = []
    swap(&actions, &endOfTurn.value)
    for action in actions { action() }
    if endOfTurn.value.isEmpty {
      actions.removeAll(keepingCapacity: true)
      swap(&actions, &endOfTurn.value)
    }
  }

  /// Runs `action` once everything of this turn has been handled.
  package func atEndOfTurn(_ action: @escaping () -> Void) {
    endOfTurn.value.append(action)
  }

  // MARK: Descriptors

  /// Reports `descriptor`'s readiness to `handler` until `unwatch`. The loop holds the handler, not the
  /// descriptor.
  ///
  /// - Parameter inner: an object that the handler asks first.
  package func watch(
    _ descriptor: Int32, _ interest: Interest, _ handler: any EventHandler, inner: AnyObject? = nil
  ) throws(SystemError) -> Watch {
    let slot = freeSlots.popLast() ?? UInt32(slots.value.count)
    if Int(slot) == slots.value.count { slots.value.append(Slot()) }
    let watch = Watch(slot: slot, generation: slots.value[Int(slot)].generation)
    do {
      try poller.add(descriptor, interest, token: watch.token)
    } catch {
      freeSlots.append(slot)
      throw error
    }
    slots.value[Int(slot)].handler = handler
    slots.value[Int(slot)].descriptor = descriptor
    slots.value[Int(slot)].places = (
      UnsafeRawPointer(Unmanaged.passUnretained(handler as AnyObject).toOpaque()),
      inner.map { UnsafeRawPointer(Unmanaged.passUnretained($0).toOpaque()) }
    )
    return watch
  }

  package func update(_ watch: Watch, _ interest: Interest) throws(SystemError) {
    guard isCurrent(watch) else { return }
    try poller.modify(slots.value[Int(watch.slot)].descriptor, interest, token: watch.token)
  }

  package func unwatch(_ watch: Watch) {
    guard isCurrent(watch) else { return }
    let slot = Int(watch.slot)
    poller.remove(slots.value[slot].descriptor)
    slots.value[slot].handler = nil
    slots.value[slot].places = (nil, nil)
    slots.value[slot].descriptor = -1
    slots.value[slot].generation &+= 1
    freeSlots.append(watch.slot)
  }

  private func isCurrent(_ watch: Watch) -> Bool {
    Int(watch.slot) < slots.value.count && slots.value[Int(watch.slot)].generation == watch.generation
      && slots.value[Int(watch.slot)].handler != nil
  }

  // MARK: Timers

  /// Calls `target` once, `nanoseconds` from now at the earliest.
  @discardableResult
  package func schedule(after nanoseconds: UInt64, _ target: any TimerTarget, tag: UInt64 = 0) -> TimerID {
    timers.value.schedule(at: now &+ nanoseconds, target: target, tag: tag)
  }

  /// Calls `target` once, at `deadline` on the loop's clock at the earliest.
  @discardableResult
  package func schedule(at deadline: UInt64, _ target: any TimerTarget, tag: UInt64 = 0) -> TimerID {
    timers.value.schedule(at: deadline, target: target, tag: tag)
  }

  package func cancel(_ id: TimerID) {
    timers.value.cancel(id)
  }
}
