internal import Synchronization

/// The bound on the memory of all connections of a server together: what arrived and is not handled yet, what was
/// not read yet by the peers, and what calls in flight were given. Shared by the loops.
///
/// Memory counts as it is allocated, in steps of whole buffers, so a connection may go over by one buffer before it is
/// stopped. Peers that nobody knows share a part of it, so that they cannot use up what others need.
package final class MemoryBudget: Sendable {
  /// Peers that nobody knows hold at most one in so many bytes of the whole.
  package static let strangersShare = 4
  /// So many bytes must have been held before freed memory is given back to the system: less is not worth it.
  package static let trimBytes = 16 * 1024 * 1024

  /// Bytes that all may hold.
  package let limit: Int
  private let held = Atomic<Int>(0)
  private let heldByStrangers = Atomic<Int>(0)
  /// The most that was held since memory was given back.
  private let peak = Atomic<Int>(0)
  private let trim: @Sendable () -> Void

  /// - Parameters:
  ///   - limit: bytes that all may hold together.
  ///   - trim: called, on any thread, when most of what was held is free again.
  package init(limit: Int = .max, trim: @escaping @Sendable () -> Void = {}) {
    self.limit = limit
    self.trim = trim
  }

  /// Bytes that are held now.
  package var heldBytes: Int { held.load(ordering: .relaxed) }
  /// Those of them that peers hold whom nobody knows.
  package var heldByStrangersBytes: Int { heldByStrangers.load(ordering: .relaxed) }

  /// What stands in the way of `bytes` more: how many are held then, and the limit. Nil where they fit.
  package func excess(of bytes: Int, isStranger: Bool) -> (actual: Int, limit: Int)? {
    let all = held.load(ordering: .relaxed).addingReportingOverflow(bytes)
    if all.overflow || all.partialValue > limit { return (all.partialValue, limit) }
    guard isStranger else { return nil }
    let theirs = heldByStrangers.load(ordering: .relaxed) + bytes
    let share = limit / Self.strangersShare
    return theirs > share ? (theirs, share) : nil
  }

  /// Notes that more is held, or with a negative number less.
  internal func change(by bytes: Int, isStranger: Bool) {
    if isStranger { heldByStrangers.add(bytes, ordering: .relaxed) }
    let now = held.add(bytes, ordering: .relaxed).newValue
    if bytes > 0 {
      _ = peak.max(now, ordering: .relaxed)
    } else {
      let most = peak.load(ordering: .relaxed)
      guard most >= Self.trimBytes, now < most / 4 else { return }
      // One of the loops wins, and gives back for all.
      if peak.compareExchange(expected: most, desired: now, ordering: .relaxed).exchanged { trim() }
    }
  }

  /// Notes that what a peer holds is held by one that is known now, or no longer.
  internal func move(_ bytes: Int, toStrangers: Bool) {
    heldByStrangers.add(toStrangers ? bytes : -bytes, ordering: .relaxed)
  }
}
