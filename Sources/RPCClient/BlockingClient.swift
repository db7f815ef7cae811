internal import Glibc
internal import RPCNetwork
internal import RPCSystem
internal import RPCTransport
package import RPCWire

/// Makes a lone caller's calls on that caller's own thread, over one connection per server that rests in
/// between: one write and one read, and no change of threads. One thread at a time has this short cut; others
/// that call meanwhile share the loop's connection, on which their calls travel together.
@usableFromInline
internal final class BlockingClient: Sendable {
  private let isTaken = Lock(false)
  private let pool: BlockingPool

  internal init(topology: Topology, identity: String?, options: ClientOptions) {
    pool = BlockingPool(topology: topology, identity: identity, options: options)
  }

  /// Whether the calling thread may use the short cut; then it must give it back. Nobody may with a registered
  /// source port, which allows one connection to each server: the loop's.
  @usableFromInline
  internal func takeShortCut() -> Bool {
    isTaken.withLock { isTaken in
      if isTaken || pool.hasRegisteredPort { return false }
      isTaken = true
      return true
    }
  }

  @usableFromInline
  internal func giveBackShortCut() {
    isTaken.withLock { $0 = false }
  }

  // MARK: Calling

  /// Calls and waits; tries again where that is safe.
  ///
  /// - Parameters:
  ///   - encode: writes the arguments as a MessagePack list; called once for each attempt.
  ///   - decode: takes the reply's payload, in place.
  @usableFromInline
  internal func call(
    _ procedure: RemoteProcedure, options call: CallOptions, encode: (inout ByteQueue) -> Void,
    decode: (RawSpan) throws(WireError) -> Void
  ) throws(RPCError) {
    _ = try perform(procedure.route, call, encode: encode, decode: decode)
  }

  /// Returns the server that answered and after how many attempts.
  internal func perform(
    _ route: Route, _ call: CallOptions, encode: (inout ByteQueue) -> Void,
    decode: (RawSpan) throws(WireError) -> Void
  ) throws(RPCError) -> (server: String, attempts: Int) {
    let started = SystemClock.monotonicNanoseconds()
    var deadline = UInt64.max
    if let duration = call.deadline?.nanoseconds, duration < ClientLimits.deadlineNanosecondsMax {
      deadline = started &+ duration
    }
    var attempts = 0
    var history = AttemptHistory()
    var failedServer: String?
    while true {
      attempts += 1
      var failure: AttemptFailure
      do throws(PoolError) {
        let connection = try pool.take(for: route, avoiding: failedServer, deadline: deadline)
        defer { pool.giveBack(connection) }
        do throws(AttemptFailure) {
          try connection.call(
            route, options: call, deadline: deadline, isRetry: history.mayHaveExecuted, encode: encode,
            decode: decode
          )
          return (connection.server.name, attempts)
        } catch {
          failure = error
          failedServer = connection.server.name
          if failure.isUnresponsive { pool.setAside(connection.server, failure.error) }
        }
      } catch {
        guard let server = error.server else { throw error.error }
        failure = AttemptFailure(error: error.error)
        failedServer = server
      }
      if failure.error.server == nil { failure.error.server = failedServer }
      let now = SystemClock.monotonicNanoseconds()
      let remaining = deadline == .max ? nil : deadline > now ? deadline - now : 0
      let serverPause = pool.pause(of: failedServer, at: now)
      let decision = history.failed(
        failure.error, &attempts, call.retry,
        RetryDecision.Circumstances(
          idempotent: failure.isIdempotent, neverBegan: failure.neverBegan,
          hasAlternative: pool.hasAlternative(route, to: failedServer, at: now), serverPause: serverPause,
          remaining: remaining), chance: Double.random(in: 0..<1))
      if remaining == 0, failure.isOwnExpiry || failure.error.executed == .no {
        var error = RPCError.noAnswer(
          within: call.deadline, executed: history.mayHaveExecuted ? .maybe : .no,
          after: failure.isOwnExpiry ? nil : failure.error)
        error.server = failedServer
        throw error
      }
      switch decision {
      case .move: break
      case .retry(let nanoseconds): sleep(nanoseconds)
      case .fail:
        // Those who wait for better times wait as long as their deadline lets them.
        guard call.waitForReady, failure.error.exception == .unavailable, failure.error.executed == .no,
          serverPause < remaining ?? .max
        else { throw history.final(failure.error) }
        attempts -= 1
        sleep(max(serverPause, 1_000_000))
      }
    }
  }

  private func sleep(_ nanoseconds: UInt64) {
    guard nanoseconds > 0 else { return }
    var time = timespec(
      tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    var rest = timespec()
    while nanosleep(&time, &rest) != 0, errno == EINTR { time = rest }
  }

  // MARK: Changes

  internal func updateTopology(_ topology: Topology) { pool.updateTopology(topology) }
  internal func close() { pool.close() }
}
