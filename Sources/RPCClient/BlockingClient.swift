internal import Glibc
internal import RPCTransport
public import RPCWire

/// Makes a lone caller's calls on that caller's own thread, over one connection per server that rests in
/// between: one write and one read, and no change of threads. One thread at a time has this short cut; others
/// that call meanwhile share the loop's connection, on which their calls travel together.
@usableFromInline
internal final class BlockingClient: Sendable {
  private struct Server {
    var resting: BlockingConnection?
    /// Attempts to connect in a row that led to nothing, and when the next one may be made.
    var failures = 0
    var downUntil: UInt64 = 0
    var lastError: RPCError?
    /// When a call last chose this server, for taking turns.
    var lastChosen: UInt64 = 0
  }

  private struct State {
    var topology: Topology
    var servers: [String: Server] = [:]
    /// The connection of the call that is being made, so that closing the client wakes its caller.
    var current: BlockingConnection?
    var turn: UInt64 = 0
    var isTaken = false
    var isClosed = false
  }

  private let state: Lock<State>
  private let options: ClientOptions
  private let identity: String?

  internal init(topology: Topology, identity: String?, options: ClientOptions) {
    state = Lock(State(topology: topology))
    self.options = options
    self.identity = identity
  }

  /// Whether the calling thread may use the short cut; then it must give it back. Nobody may with a registered
  /// source port, which allows one connection to each server: the loop's.
  @usableFromInline
  internal func takeShortCut() -> Bool {
    state.withLock { state in
      if state.isTaken || identity.map({ SourceAddress(state.topology.client($0)).isExclusive }) ?? false {
        return false
      }
      state.isTaken = true
      return true
    }
  }

  @usableFromInline
  internal func giveBackShortCut() {
    state.withLock { $0.isTaken = false }
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
    let started = Syscall.monotonicNanoseconds()
    var deadline = UInt64.max
    if let duration = call.deadline?.nanoseconds, duration < ClientLimits.deadlineNanosecondsMax {
      deadline = started &+ duration
    }
    var attempts = 0
    var moves = 0
    var mayHaveExecuted = false
    var failedServer: String?
    while true {
      attempts += 1
      let server = try choose(route, avoiding: failedServer)
      do {
        try attempt(
          route, on: server, call, deadline: deadline, isRetry: mayHaveExecuted, encode: encode,
          decode: decode)
        return (server.name, attempts)
      } catch {
        var failure = error
        if failure.isOwnExpiry { failure.error = expired(failure.error, route, call, attempts) }
        failedServer = server.name
        if failure.error.executed == .maybe { mayHaveExecuted = true }
        let now = Syscall.monotonicNanoseconds()
        let serverPause = pause(of: server.name, at: now)
        let circumstances = RetryDecision.Circumstances(
          idempotent: failure.isIdempotent, attempts: attempts, neverBegan: failure.neverBegan, moves: moves,
          hasAlternative: hasAlternative(route, to: server.name, at: now), serverPause: serverPause,
          remaining: deadline == .max ? nil : deadline > now ? deadline - now : 0)
        let decision = RetryDecision.decide(
          failure.error, call.retry, circumstances, chance: Double.random(in: 0..<1))
        if case .retry(let nanoseconds) = decision {
          if failure.neverBegan {
            moves += 1
            attempts -= 1
          }
          sleep(nanoseconds)
          continue
        }
        // Those who wait for better times wait as long as their deadline lets them.
        let mayWait =
          call.waitForReady && failure.error.exception == .unavailable && failure.error.executed == .no
        if mayWait, serverPause < (deadline == .max ? .max : deadline > now ? deadline - now : 0) {
          attempts -= 1
          sleep(max(serverPause, 1_000_000))
          continue
        }
        if mayHaveExecuted, failure.error.executed == .no { failure.error.executed = .maybe }
        throw failure.error
      }
    }
  }

  private func attempt(
    _ route: Route, on server: Topology.Server, _ call: CallOptions, deadline: UInt64, isRetry: Bool,
    encode: (inout ByteQueue) -> Void, decode: (RawSpan) throws(WireError) -> Void
  ) throws(AttemptFailure) {
    let connection: BlockingConnection
    do {
      connection = try checkOut(server, deadline: deadline)
    } catch {
      checkIn(nil, server.name)
      throw AttemptFailure(error: error)
    }
    defer { checkIn(connection, server.name) }
    try connection.call(
      route, options: call, deadline: deadline, isRetry: isRetry, encode: encode, decode: decode)
  }

  private func expired(
    _ error: RPCError, _ route: Route, _ call: CallOptions, _ attempts: Int
  ) -> RPCError {
    var error = error
    error.message = "\(route.name) was \(error.message) within \(call.deadline ?? .zero)"
    if attempts > 1 { error.message += " (attempt \(attempts))" }
    return error
  }

  private func sleep(_ nanoseconds: UInt64) {
    guard nanoseconds > 0 else { return }
    var time = timespec(
      tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    var rest = timespec()
    while nanosleep(&time, &rest) != 0, errno == EINTR { time = rest }
  }

  // MARK: Choosing a server

  private func choose(_ route: Route, avoiding failed: String?) throws(RPCError) -> Topology.Server {
    let now = Syscall.monotonicNanoseconds()
    return try state.withLock { state throws(RPCError) in
      if state.isClosed { throw RPCError(.unavailable, "the client was closed") }
      let candidates = try state.topology.candidates(for: route)
      var best = candidates[0]
      if candidates.count > 1 {
        // With one call at a time none has more in flight than another: they take turns.
        func rank(_ server: Topology.Server) -> (Int, UInt64) {
          let record = state.servers[server.name] ?? Server()
          let penalty = server.name == failed ? 2 : record.downUntil > now ? 1 : 0
          return (penalty, record.lastChosen)
        }
        best = candidates.min { rank($0) < rank($1) } ?? best
      }
      state.turn += 1
      state.servers[best.name, default: Server()].lastChosen = state.turn
      return best
    }
  }

  private func hasAlternative(_ route: Route, to name: String, at now: UInt64) -> Bool {
    guard route.server == nil else { return false }
    return state.withLock { state in
      let candidates = (try? state.topology.candidates(for: route)) ?? []
      return candidates.contains { $0.name != name && (state.servers[$0.name]?.downUntil ?? 0) <= now }
    }
  }

  private func pause(of server: String, at now: UInt64) -> UInt64 {
    state.withLock { state in
      let until = state.servers[server]?.downUntil ?? 0
      return until > now ? until - now : 0
    }
  }

  // MARK: The connection at rest

  private func checkOut(
    _ server: Topology.Server, deadline: UInt64
  ) throws(RPCError) -> BlockingConnection {
    let now = Syscall.monotonicNanoseconds()
    let resting = state.withLock { state in
      state.current = state.servers[server.name]?.resting.take()
      return state.current
    }
    if let resting, resting.server == server, resting.isUsable(at: now) { return resting }
    let source = try state.withLock { state throws(RPCError) in
      if let record = state.servers[server.name], record.downUntil > now, var error = record.lastError {
        error.executed = .no
        throw error
      }
      return SourceAddress(identity.flatMap { state.topology.client($0) })
    }
    do {
      let connection = try BlockingConnection(
        to: server, from: source, identity: identity, options: options, deadline: deadline)
      state.withLock { state in
        state.current = connection
        state.servers[server.name]?.failures = 0
        state.servers[server.name]?.downUntil = 0
        if state.isClosed { connection.interrupt() }
      }
      return connection
    } catch {
      state.withLock { state in
        let failures = (state.servers[server.name]?.failures ?? 0) + 1
        state.servers[server.name]?.failures = failures
        state.servers[server.name]?.lastError = error
        state.servers[server.name]?.downUntil =
          Syscall.monotonicNanoseconds()
          &+ options.reconnect.nanoseconds(retry: failures, chance: Double.random(in: 0..<1))
      }
      throw error
    }
  }

  private func checkIn(_ connection: BlockingConnection?, _ server: String) {
    let given = state.withLock { state in
      if let connection, !connection.isRetired, !state.isClosed {
        state.servers[server]?.resting = connection
      }
      return state.current.take()
    }
    // Closed here, outside the lock, where it was not kept.
    _ = given
  }

  // MARK: Changes

  internal func updateTopology(_ topology: Topology) {
    let resting = state.withLock { state in
      state.topology = topology
      let resting = state.servers.values.compactMap(\.resting)
      // A call in flight keeps its connection, and finds it unwelcome when it returns it.
      state.servers = state.servers.filter { topology.server($0.key) != nil }
      for name in state.servers.keys { state.servers[name]?.resting = nil }
      return resting
    }
    // Closed here, outside the lock.
    _ = resting
  }

  internal func close() {
    let (servers, current) = state.withLock { state in
      state.isClosed = true
      defer { state.servers = [:] }
      return (state.servers, state.current)
    }
    // Whoever waits wakes up; those at rest are closed here, outside the lock.
    current?.interrupt()
    _ = servers
  }
}
