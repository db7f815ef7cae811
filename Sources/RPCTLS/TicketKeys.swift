internal import COpenSSL
package import RPCSystem

/// What session tickets are sealed with: kept over a change of certificates, shared by all loops, and changed by
/// itself. A ticket is good for as long as its key is kept.
package final class TicketKeys: Sendable {
  /// How long one key seals tickets, in nanoseconds; it opens them for as long again.
  package static let lifeNanoseconds: UInt64 = 6 * 3600 * 1_000_000_000

  internal struct Key {
    var name: [UInt8]
    var cipher: [UInt8]
    var mac: [UInt8]

    static func random() -> Key {
      var random = SystemRandomNumberGenerator()
      func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
      }
      return Key(name: bytes(16), cipher: bytes(32), mac: bytes(32))
    }
  }

  private struct State {
    var current = Key.random()
    var previous: Key?
    var since: UInt64
  }

  private let state: Lock<State>
  private let clock: ManualClock?

  /// - Parameter clock: for tests.
  package init(clock: ManualClock? = nil) {
    self.clock = clock
    state = Lock(State(since: clock?.now ?? SystemClock.monotonicNanoseconds()))
  }

  /// The key to seal with, or the one of that name, and whether a new ticket is due.
  internal func key(named name: [UInt8]?) -> (key: Key, isOld: Bool)? {
    let now = clock?.now ?? SystemClock.monotonicNanoseconds()
    return state.withLock { state in
      let age = now &- state.since
      if age >= Self.lifeNanoseconds {
        state.previous = age < 2 * Self.lifeNanoseconds ? state.current : nil
        state.current = .random()
        state.since = now
      }
      guard let name else { return (state.current, false) }
      if state.current.name == name { return (state.current, false) }
      if let previous = state.previous, previous.name == name { return (previous, true) }
      return nil
    }
  }

  /// Has a context use these keys, which must outlive it.
  internal func install(in context: OpaquePointer) -> Bool {
    rpc_tls_set_ticket_keys(context, Unmanaged.passUnretained(self).toOpaque()) { keys, name, found in
      guard let keys, let found else { return 0 }
      let wanted = name.map { Array(UnsafeBufferPointer(start: $0, count: 16)) }
      let all = Unmanaged<TicketKeys>.fromOpaque(keys).takeUnretainedValue()
      guard let (key, isOld) = all.key(named: wanted) else { return 0 }
      withUnsafeMutableBytes(of: &found.pointee.name) { $0.copyBytes(from: key.name) }
      withUnsafeMutableBytes(of: &found.pointee.cipher) { $0.copyBytes(from: key.cipher) }
      withUnsafeMutableBytes(of: &found.pointee.mac) { $0.copyBytes(from: key.mac) }
      return isOld ? 2 : 1
    } == 1
  }
}
