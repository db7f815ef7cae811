internal import CLinux
internal import Glibc
internal import RPCSystem
internal import Synchronization

/// The one door into a loop from other threads: work posted here runs on the loop's thread, in order.
/// Posting costs a system call only when the loop sleeps.
package final class Mailbox: Sendable {
  package typealias Work = @Sendable (EventLoop) -> Void

  private struct State {
    var work: [Work] = []
    var isClosed = false
  }

  private let state = Lock(State())
  /// Whether the loop may be asleep, so that a poster has to wake it.
  private let isSleeping = Atomic<Bool>(false)
  /// Whether there may be work, so that a busy loop need not take the lock to see that there is none.
  private let mayHaveWork = Atomic<Bool>(false)
  internal let wakeup: Descriptor

  internal init() throws(SystemError) {
    let raw = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    guard raw >= 0 else { throw .last("eventfd") }
    wakeup = Descriptor(raw)
  }

  /// Hands `work` to the loop. Returns false, and drops it, when the loop has ended.
  @discardableResult
  package func post(_ work: @escaping Work) -> Bool {
    let accepted = state.withLock { state in
      if state.isClosed { return false }
      state.work.append(work)
      return true
    }
    guard accepted else { return false }
    // Dekker's handshake with `prepareToSleep`: of the two orders, (work, asleep?) here and (asleep, work?)
    // there, at least one side sees the other. Only the first poster after the loop fell asleep pays.
    mayHaveWork.store(true, ordering: .sequentiallyConsistent)
    if isSleeping.exchange(false, ordering: .sequentiallyConsistent) { signal() }
    return true
  }

  private func signal() {
    var one: UInt64 = 1
    // Fails only when the counter is full, and then the loop is woken anyway.
    _ = Glibc.write(wakeup.raw, &one, MemoryLayout<UInt64>.size)
  }

  // MARK: The loop's side

  /// Announces that the loop is about to sleep; returns false when work came in meanwhile and it must not.
  internal func prepareToSleep() -> Bool {
    isSleeping.store(true, ordering: .sequentiallyConsistent)
    guard mayHaveWork.load(ordering: .sequentiallyConsistent) else { return true }
    isSleeping.store(false, ordering: .relaxed)
    return false
  }

  internal var hasWork: Bool { mayHaveWork.load(ordering: .relaxed) }

  internal func awoke() {
    isSleeping.store(false, ordering: .relaxed)
  }

  internal func acknowledge() {
    var value: UInt64 = 0
    _ = Glibc.read(wakeup.raw, &value, MemoryLayout<UInt64>.size)
  }

  /// Takes all the work that waits, leaving `spare`'s memory for what comes next.
  internal func take(into spare: inout [Work]) {
    guard mayHaveWork.load(ordering: .acquiring) else { return }
    mayHaveWork.store(false, ordering: .sequentiallyConsistent)
    state.withLock { swap(&$0.work, &spare) }
  }

  internal func close() {
    let dropped = state.withLock { state in
      state.isClosed = true
      defer { state.work = [] }
      return state.work
    }
    _ = dropped
  }
}
