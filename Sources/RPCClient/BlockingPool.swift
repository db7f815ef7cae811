internal import CLinux
internal import Glibc
internal import RPCNetwork
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// The connections of a lone caller, one to each server, while they rest between its calls. Where a service has
/// several providers they are connected to by threads of their own, so that one which does not answer keeps no call
/// from those which do.
internal final class BlockingPool: Sendable {
  private struct Server {
    var resting: BlockingConnection?
    var isConnecting = false
    /// Attempts to connect in a row that led to nothing, and when the next one may be made.
    var failures = 0
    var downUntil: UInt64 = 0
    var lastError: RPCError?
    /// When a call last chose this server, for taking turns.
    var lastChosen: UInt64 = 0

    /// As the loop's channels stand, best first: ready, connecting, idle, down.
    func standing(at now: UInt64) -> Int {
      resting != nil ? 0 : isConnecting ? 1 : downUntil <= now ? 2 : 3
    }
  }

  private struct State {
    var topology: Topology
    var servers: [UTF8Key: Server] = [:]
    /// The connection of the call that is being made, so that closing the client wakes its caller.
    var current: BlockingConnection?
    var turn: UInt64 = 0
    var isClosed = false
  }

  private let state: Lock<State>
  private let options: ClientOptions
  private let identity: String?
  /// Written to whenever an attempt to connect has ended; nil until there is one in the background.
  private let connected = Lock<Int32>(-1)

  internal init(topology: Topology, identity: String?, options: ClientOptions) {
    state = Lock(State(topology: topology))
    self.options = options
    self.identity = identity
  }

  deinit {
    let descriptor = connected.withLock { $0 }
    if descriptor >= 0 { Glibc.close(descriptor) }
  }

  internal var hasRegisteredPort: Bool {
    guard let identity else { return false }
    return state.withLock { SourceAddress($0.topology.client(identity)).isExclusive }
  }

  // MARK: Taking a connection

  /// A connection to a server that has answered, opened where there is none. The one who takes it gives it back.
  internal func take(
    for route: Route, avoiding failed: String?, deadline: UInt64
  ) throws(PoolError) -> BlockingConnection {
    let end = min(deadline, SystemClock.monotonicNanoseconds() &+ options.connectTimeout.nanoseconds)
    var wanted: Topology.Server?
    var mayConnectMore: UInt64 = 0
    while true {
      let now = SystemClock.monotonicNanoseconds()
      let choice = try choose(route, avoiding: failed, at: now)
      if let resting = choice.resting {
        if resting.server == choice.server, resting.isUsable(at: now) { return resting }
        giveBack(nil)
        continue
      }
      if choice.isOnly { return try connect(to: choice.server, deadline: deadline) }
      // The attempt is over when the first one that was wanted has failed, or its time is over.
      let server = wanted ?? choice.idle ?? choice.server
      wanted = server
      if let error = failure(of: server, at: now) { throw PoolError(error: error, server: server.name) }
      guard now < end else {
        throw PoolError(error: .noHello(from: server, within: options.connectTimeout), server: server.name)
      }
      if now >= mayConnectMore {
        mayConnectMore = now &+ ClientLimits.connectionAttemptDelayNanoseconds
        if let idle = choice.idle { connectInBackground(to: idle) }
      }
      waitForConnection(until: min(end, mayConnectMore))
    }
  }

  private struct Choice {
    var server: Topology.Server
    var resting: BlockingConnection?
    /// There is no other that the call could go to.
    var isOnly: Bool
    /// The next to connect to, where one is left.
    var idle: Topology.Server?
  }

  private func choose(
    _ route: Route, avoiding failed: String?, at now: UInt64
  ) throws(PoolError) -> Choice {
    let (choice, more) = try state.withLock { state throws(PoolError) in
      if state.isClosed { throw PoolError(error: RPCError(.unavailable, "the client was closed")) }
      let candidates: [Topology.Server]
      do throws(RPCError) {
        candidates = try state.topology.candidates(for: route)
      } catch {
        throw PoolError(error: error)
      }
      // With one call at a time none has more in flight than another: they take turns.
      func rank(_ server: Topology.Server) -> (Int, UInt64) {
        let record = state.servers[UTF8Key(server.name)] ?? Server()
        return (server.name == failed ? .max : record.standing(at: now), record.lastChosen)
      }
      var best = candidates[0]
      var idle: Topology.Server?
      if candidates.count > 1 {
        best = candidates.min { rank($0) < rank($1) } ?? best
        idle = candidates.filter { rank($0).0 == 2 }.min { rank($0) < rank($1) }
      }
      let resting = state.servers[UTF8Key(best.name)]?.resting
      if resting != nil || candidates.count == 1 {
        state.turn += 1
        state.servers[UTF8Key(best.name), default: Server()].lastChosen = state.turn
        state.servers[UTF8Key(best.name)]?.resting = nil
        state.current = resting
      }
      let choice = Choice(server: best, resting: resting, isOnly: candidates.count == 1, idle: idle)
      return (choice, resting == nil ? nil : idle)
    }
    // One more with each call, so that many calls soon use all of them.
    if let more { connectInBackground(to: more) }
    return choice
  }

  /// Why a call to this server would fail at once.
  private func failure(of server: Topology.Server, at now: UInt64) -> RPCError? {
    state.withLock { state in
      guard let record = state.servers[UTF8Key(server.name)], record.downUntil > now,
        var error = record.lastError
      else { return nil }
      error.executed = .no
      return error
    }
  }

  internal func giveBack(_ connection: BlockingConnection?) {
    let given = state.withLock { state in
      if let connection, !connection.isRetired, !state.isClosed,
        state.topology.server(connection.server.name) == connection.server
      {
        state.servers[UTF8Key(connection.server.name), default: Server()].resting = connection
      }
      return state.current.take()
    }
    // Closed here, outside the lock, where it was not kept.
    _ = given
  }

  // MARK: Connecting

  /// Connects on the caller's thread: where there is one provider, there is nothing else to wait for.
  private func connect(to server: Topology.Server, deadline: UInt64) throws(PoolError) -> BlockingConnection {
    if let error = failure(of: server, at: SystemClock.monotonicNanoseconds()) {
      throw PoolError(error: error, server: server.name)
    }
    do {
      let connection = try open(server, deadline: deadline)
      let isClosed = state.withLock { state in
        state.current = connection
        return state.isClosed
      }
      if isClosed { connection.interrupt() }
      return connection
    } catch {
      throw PoolError(error: error, server: server.name)
    }
  }

  private func connectInBackground(to server: Topology.Server) {
    let isFirst = state.withLock { state in
      let isFirst = state.servers[UTF8Key(server.name)]?.isConnecting != true && !state.isClosed
      if isFirst { state.servers[UTF8Key(server.name), default: Server()].isConnecting = true }
      return isFirst
    }
    guard isFirst else { return }
    connected.withLock { if $0 < 0 { $0 = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) } }
    do throws(SystemError) {
      try LoopThread.spawn(name: "rpc-connect") { [self] in
        let connection = try? open(server, deadline: .max)
        let unwanted = state.withLock { state in
          state.servers[UTF8Key(server.name)]?.isConnecting = false
          guard !state.isClosed, state.topology.server(server.name) == server,
            state.servers[UTF8Key(server.name)]?.resting == nil
          else { return connection }
          state.servers[UTF8Key(server.name)]?.resting = connection
          return nil
        }
        // Closed here, outside the lock.
        _ = unwanted
        announce()
      }
    } catch {
      down(server, RPCError(.unavailable, "\(error): \(server.label)"))
    }
  }

  private func open(_ server: Topology.Server, deadline: UInt64) throws(RPCError) -> BlockingConnection {
    let source = state.withLock { state in SourceAddress(identity.flatMap { state.topology.client($0) }) }
    do {
      let connection = try BlockingConnection(
        to: server, from: source, identity: identity, options: options, deadline: deadline)
      state.withLock { state in
        state.servers[UTF8Key(server.name)]?.failures = 0
        state.servers[UTF8Key(server.name)]?.downUntil = 0
      }
      return connection
    } catch {
      // A caller that would not wait says nothing about the server.
      if SystemClock.monotonicNanoseconds() < deadline { down(server, error) }
      throw error
    }
  }

  private func down(_ server: Topology.Server, _ error: RPCError) {
    state.withLock { state in
      guard state.topology.server(server.name) == server else { return }
      var record = state.servers[UTF8Key(server.name)] ?? Server()
      record.isConnecting = false
      record.failures += 1
      record.lastError = error
      record.downUntil =
        SystemClock.monotonicNanoseconds()
        &+ options.reconnect.nanoseconds(retry: record.failures, chance: Double.random(in: 0..<1))
      state.servers[UTF8Key(server.name)] = record
    }
  }

  /// A server that has a connection and does not answer on it is tried again later, like one that refuses.
  internal func setAside(_ server: Topology.Server, _ error: RPCError) { down(server, error) }

  private func announce() {
    let descriptor = connected.withLock { $0 }
    if descriptor >= 0 { eventfd_write(descriptor, 1) }
  }

  private func waitForConnection(until deadline: UInt64) {
    let descriptor = connected.withLock { $0 }
    guard BlockingSocket.wait(descriptor, for: POLLIN, until: deadline) else { return }
    var count: eventfd_t = 0
    eventfd_read(descriptor, &count)
  }

  // MARK: What retries ask

  internal func hasAlternative(_ route: Route, to name: String?, at now: UInt64) -> Bool {
    guard route.server == nil else { return false }
    return state.withLock { state in
      let candidates = (try? state.topology.candidates(for: route)) ?? []
      return candidates.contains {
        !Optional($0.name).hasSameUTF8(as: name) && (state.servers[UTF8Key($0.name)]?.downUntil ?? 0) <= now
      }
    }
  }

  /// Nanoseconds until the server may be tried again.
  internal func pause(of server: String?, at now: UInt64) -> UInt64 {
    guard let server else { return 0 }
    return state.withLock { state in
      let until = state.servers[UTF8Key(server)]?.downUntil ?? 0
      return until > now ? until - now : 0
    }
  }

  // MARK: Changes

  internal func updateTopology(_ topology: Topology) {
    let resting = state.withLock { state in
      state.topology = topology
      let resting = state.servers.values.compactMap(\.resting)
      // A call in flight keeps its connection, and finds it unwelcome when it returns it.
      state.servers = state.servers.filter { topology.server($0.key.text) != nil }
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
    // All that wait wake up; those at rest are closed here, outside the lock.
    current?.interrupt()
    announce()
    _ = servers
  }
}

/// Why there is no connection for a call.
internal struct PoolError: Error {
  var error: RPCError
  /// The server that was tried; nil where none could be, and trying again is of no use.
  var server: String?
}
