internal import RPCKeys
package import RPCNetwork
package import RPCTransport
package import RPCWire

/// A client on one loop: it chooses the server for each call, keeps deadlines, and tries again where that is
/// safe. Everything happens on the loop's thread. `RPCClient` wraps it for other threads; a server has one on
/// each of its loops for the calls its procedures make.
package final class ClientCore {
  package let loop: EventLoop
  internal let options: ClientOptions
  internal let identity: String?
  internal private(set) var source: SourceAddress
  /// Told of what happens to connections, on the loop.
  package var onEvent: ((ClientEvent) -> Void)?
  internal var onState: ((_ server: String, ServerState) -> Void)?
  internal var onServerKey: ((_ server: String, PublicKey) -> Void)?

  private var topology: Topology
  private var channels: [UTF8Key: ClientChannel] = [:]
  /// Connections to servers that drain, moved or were removed, until their calls are answered.
  private var leaving: [ObjectIdentifier: ClientConnection] = [:]
  /// Tells routes that were resolved before a change from those after it.
  @exclusivity(unchecked) private var topologyVersion: UInt64 = 1
  private let routes: RouteTable
  private var generator = SystemRandomNumberGenerator()
  @exclusivity(unchecked) private var turn: UInt64 = 0
  /// Counts the changes that end the use of routes' shortcuts.
  @exclusivity(unchecked) internal private(set) var epoch: UInt64 = 1
  @exclusivity(unchecked) private var isClosed = false
  private var deferred: [(call: Call, serial: UInt64, error: RPCError)] = []
  /// Calls that are over, to be used again.
  @exclusivity(unchecked) private var spare: Call?
  @exclusivity(unchecked) private var spareCount = 0
  private static let spareMax = 1024

  package convenience init(
    loop: EventLoop, topology: Topology, identity: String? = nil, options: ClientOptions = ClientOptions()
  ) {
    self.init(loop: loop, topology: topology, identity: identity, options: options, routes: RouteTable())
  }

  internal init(
    loop: EventLoop, topology: Topology, identity: String?, options: ClientOptions, routes: RouteTable
  ) {
    self.loop = loop
    self.topology = topology
    self.identity = identity
    self.options = options
    self.routes = routes
    source = SourceAddress(identity.flatMap { topology.client($0) })
  }

  deinit {
    precondition(isClosed || channels.isEmpty, "a client core is closed before it is dropped")
    // One by one: a thousand linked objects would be a thousand nested releases.
    while let call = spare.take() { spare = call.nextSpare.take() }
  }

  // MARK: Calling

  /// Calls a procedure with values, on the loop's thread; `completion` runs there too, later, exactly once.
  ///
  /// - Parameters:
  ///   - types: the argument types to look the procedure up by; nil takes those of the values.
  ///   - deadline: on the loop's clock, in nanoseconds, or nil for none.
  /// - Returns: what `cancel` takes.
  @discardableResult
  package func call(
    _ procedure: String, _ arguments: [Value], types: [ValueType]? = nil, on server: String? = nil,
    deadline: UInt64? = nil, options: CallOptions = CallOptions(),
    completion: @escaping (Result<CallResult, RPCError>) -> Void
  ) -> NestedCall {
    var options = options
    if let deadline {
      options.deadline = .nanoseconds(Int64(clamping: deadline > loop.now ? deadline - loop.now : 0))
    }
    do {
      let route = try routes.dynamic(
        procedure, server: server, types: types ?? arguments.map { ValueType(describing: $0) })
      // The completion never leaves the loop's thread, on which the call is made.
      nonisolated(unsafe) let completion = completion
      let call = makeCall(route, options)
      call.encode(arguments)
      call.completion = { call, payload in completion(call.result(payload)) }
      let handle = NestedCall(call: call, serial: call.serial)
      submit(call, on: route)
      return handle
    } catch {
      loop.atEndOfTurn { completion(.failure(error)) }
      return NestedCall(call: nil, serial: 0)
    }
  }

  /// Ends a call; its completion gets `Cancelled` unless it is over.
  package func cancel(_ nested: NestedCall) {
    if let call = nested.call { cancel(call, serial: nested.serial) }
  }

  /// A call to be filled and submitted, on the loop's thread.
  internal func makeCall(_ route: Route, _ options: CallOptions) -> Call {
    guard let call = spare.take() else { return Call(route: route, options: options, now: loop.now) }
    spare = call.nextSpare.take()
    spareCount -= 1
    call.renew(route: route, options: options, now: loop.now)
    return call
  }

  /// - Parameter route: the call's own, which its caller has at hand.
  internal func submit(_ call: Call, on route: Route) {
    call.phase = .waiting
    call.core = self
    if call.wasCancelledEarly { return deferFailure(call, cancelled(call)) }
    if isClosed { return deferFailure(call, RPCError(.unavailable, "the client was closed")) }
    if call.deadline != .max {
      guard call.deadline > loop.now else { return deferFailure(call, deadlineError(call)) }
      call.deadlineTimer = loop.schedule(at: call.deadline, call, tag: Call.deadlineTag)
    }
    if route.shortcutEpoch == epoch, let shortcut = route.shortcut {
      call.attempts = 1
      return shortcut._withUnsafeGuaranteedRef { $0.sendBound(call, on: route) }
    }
    attempt(call)
  }

  private func attempt(_ call: Call) {
    guard let channel = choose(call) else { return deferFailure(call, noServer(call)) }
    call.attempts += 1
    call.channel = channel
    channel.accept(call)
  }

  /// Something changed that makes the last way of a call the wrong one for the next.
  internal func forgetShortcuts() {
    epoch += 1
  }

  // MARK: Choosing a server

  private func choose(_ call: Call) -> ClientChannel? {
    let route = call.route
    if route.channelsVersion != topologyVersion { resolve(route) }
    if let channel = route.onlyChannel { return channel }
    // The last one that failed comes last.
    let failed = call.retryState?.failedChannel
    func rank(_ channel: ClientChannel) -> (Int, Int, UInt64) {
      (
        ObjectIdentifier(channel) == failed ? .max : channel.standing.rawValue,
        options.balancing == .leastOutstanding ? channel.outstanding : 0, channel.lastChosen
      )
    }
    let best = route.channels.min { rank($0) < rank($1) }
    turn += 1
    best?.lastChosen = turn
    // One more with each call: a lone call does not connect to a whole network, and many soon use all of it.
    if best?.standing == .ready { connectOneMore(of: route) }
    return best
  }

  /// Connects to a provider that nobody has connected to yet, or whose pause is over.
  private func connectOneMore(of route: Route) {
    let idle = route.channels.lazy.filter { $0.standing == .idle }
    idle.min { $0.lastChosen < $1.lastChosen }?.connectEagerly()
  }

  /// A server was slow to answer: calls that wait for it, and have no other, get a second one to wait for.
  internal func connectAlternatives() {
    for channel in channels.values where channel.standing != .ready {
      var seen: [ObjectIdentifier] = []
      for route in channel.routesWaiting where !seen.contains(ObjectIdentifier(route)) {
        seen.append(ObjectIdentifier(route))
        if route.channelsVersion == topologyVersion { connectOneMore(of: route) }
      }
    }
  }

  /// A server has answered: calls that wait for others which have not may go there as well.
  internal func channelIsReady(_ ready: ClientChannel) {
    for channel in channels.values where channel !== ready && channel.standing != .ready {
      for call in channel.takeWaiting(where: { $0.route.channels.contains { $0 === ready } }) {
        call.attempts -= 1
        attempt(call)
      }
    }
  }

  /// Looks up once where a route leads.
  private func resolve(_ route: Route) {
    let servers = (try? topology.candidates(for: route)) ?? []
    route.channels = ContiguousArray(servers.map { channel(to: $0) })
    route.onlyChannel = route.channels.count == 1 ? route.channels[0] : nil
    route.channelsVersion = topologyVersion
  }

  private func channel(to server: Topology.Server) -> ClientChannel {
    if let channel = channels[UTF8Key(server.name)] { return channel }
    let channel = ClientChannel(core: self, server: server)
    channels[UTF8Key(server.name)] = channel
    return channel
  }

  private func noServer(_ call: Call) -> RPCError {
    if let name = call.route.server { return topology.unknownServer(name) }
    return topology.noProvider(of: call.route.binding.service)
  }

  // MARK: Outcomes

  internal func succeeded(_ call: Call, _ payload: RawSpan) {
    guard call.phase == .sent else { return }
    finish(call, payload)
    // One that was answered stands in no queue any more, so it may become another call.
    if spareCount < Self.spareMax, call.arguments.allocatedBytes <= 1024 {
      call.nextSpare = spare.take()
      spare = call
      spareCount += 1
    }
  }

  /// - Parameter neverBegan: the server takes no calls any more, or the connection was lost before the call left:
  ///   the call moves on without its caller's noticing, if it can.
  internal func attemptFailed(_ call: Call, _ error: RPCError, neverBegan: Bool = false) {
    guard call.phase != .done else { return }
    var error = error
    if neverBegan { error.executed = .no }
    call.phase = .waiting
    call.connection = nil
    let channel = call.channel
    call.channel = nil
    if error.server == nil { error.server = channel?.server.name }
    let history = call.history
    history.failedChannel = channel.map { ObjectIdentifier($0) }
    let decision = history.attempts.failed(
      error, &call.attempts, call.retry,
      RetryDecision.Circumstances(
        idempotent: call.isIdempotent, neverBegan: neverBegan, hasAlternative: hasAlternative(call),
        serverPause: channel?.pause ?? 0, remaining: call.remaining(at: loop.now)), chance: chance())
    // Never in the same breath: a server that fails at once must not keep the loop.
    switch decision {
    case .fail: deferFailure(call, history.attempts.final(error))
    case .move: call.retryTimer = loop.schedule(after: 0, call, tag: Call.retryTag)
    case .retry(let nanoseconds):
      call.retryTimer = loop.schedule(after: nanoseconds, call, tag: Call.retryTag)
    }
  }

  private func hasAlternative(_ call: Call) -> Bool {
    guard call.route.server == nil else { return false }
    if call.route.channelsVersion != topologyVersion { resolve(call.route) }
    return call.route.channels.contains {
      ObjectIdentifier($0) != call.retryState?.failedChannel && $0.standing != .down
    }
  }

  internal func timerFired(for call: Call, tag: UInt64) {
    guard call.phase != .done else { return }
    if tag == Call.retryTag {
      call.retryTimer = nil
      return attempt(call)
    }
    call.deadlineTimer = nil
    end(call, deadlineError(call))
  }

  internal func cancel(_ call: Call, serial: UInt64) {
    guard call.serial == serial else { return }
    switch call.phase {
    case .done: return
    // The caller was quicker to cancel than its call was to get here: `submit` ends it.
    case .new: call.wasCancelledEarly = true
    case .waiting, .sent: end(call, cancelled(call))
    }
  }

  /// Ends a call from our side; the server is told.
  private func end(_ call: Call, _ error: RPCError) {
    if let connection = call.connection {
      connection.cancel(call)
    } else if call.phase == .waiting, call.retryTimer == nil {
      call.channel?.waitingCallEnded()
    }
    var error = error
    error.server = call.channel?.server.name ?? call.retryState?.attempts.lastError?.server
    call.setFailure(error)
    finish(call, RawSpan())
  }

  private func cancelled(_ call: Call) -> RPCError {
    RPCError(.cancelled, "the call of \(call.route.name) was cancelled", executed: executed(call))
  }

  private func deadlineError(_ call: Call) -> RPCError {
    .noAnswer(within: call.timeout, executed: executed(call), after: call.retryState?.attempts.lastError)
  }

  private func executed(_ call: Call) -> RPCError.Executed {
    call.phase == .sent || call.mayHaveExecuted ? .maybe : .no
  }

  /// Tells the caller.
  private func finish(_ call: Call, _ payload: RawSpan) {
    call.phase = .done
    if let timer = call.deadlineTimer {
      loop.cancel(timer)
      call.deadlineTimer = nil
    }
    if let timer = call.retryTimer {
      loop.cancel(timer)
      call.retryTimer = nil
    }
    if let completion = call.completion.take() { completion(call, payload) }
    call.core = nil
    call.connection = nil
    call.channel = nil
    call.retire()
  }

  /// Failures are told at the end of the turn: a callback that calls again at once cannot recurse.
  private func deferFailure(_ call: Call, _ error: RPCError) {
    if deferred.isEmpty { loop.atEndOfTurn { [self] in deliverFailures() } }
    deferred.append((call, call.serial, error))
  }

  private func deliverFailures() {
    let failures = deferred
    deferred = []
    // A deadline or a cancellation may have been quicker.
    for (call, serial, error) in failures where call.serial == serial && call.phase != .done {
      call.setFailure(error)
      finish(call, RawSpan())
    }
  }

  // MARK: Servers

  internal func ping(_ server: String, _ completion: @escaping (Result<Duration, RPCError>) -> Void) {
    guard let known = topology.server(server) else {
      return completion(.failure(topology.unknownServer(server)))
    }
    channel(to: known).ping(completion)
  }

  /// Opens connections to all servers, called or not.
  package func connectAll() {
    for server in topology.servers { channel(to: server).connectEagerly() }
  }

  package func updateTopology(_ topology: Topology) {
    self.topology = topology
    topologyVersion += 1
    forgetShortcuts()
    source = SourceAddress(identity.flatMap { topology.client($0) })
    for (name, channel) in channels {
      if let server = topology.server(name.text) {
        channel.move(to: server)
      } else {
        channels[name] = nil
        channel.leave(RPCError(.unavailable, "server '\(name)' was removed from the network"))
      }
    }
  }

  /// Remembers a connection that its channel uses no more and that has calls to answer.
  internal func keepUntilItEnds(_ connection: ClientConnection) {
    leaving[ObjectIdentifier(connection)] = connection
  }

  internal func connectionEnded(_ connection: ClientConnection) {
    leaving[ObjectIdentifier(connection)] = nil
  }

  /// Ends every connection; calls in flight fail.
  package func close() {
    guard !isClosed else { return }
    isClosed = true
    let error = RPCError(.cancelled, "the client was closed", executed: .maybe)
    for channel in channels.values { channel.close(error) }
    channels = [:]
    for connection in Array(leaving.values) { connection.close(error) }
    topologyVersion += 1
    forgetShortcuts()
    routes.forgetChannels()
    deliverFailures()
  }

  internal func emit(_ event: ClientEvent) { onEvent?(event) }
  internal func report(_ channel: ClientChannel, _ state: ServerState) {
    onState?(channel.server.name, state)
  }
  internal func chance() -> Double { Double.random(in: 0..<1, using: &generator) }
}

/// A call that was made on a loop, for ending it.
package struct NestedCall {
  internal let call: Call?
  internal let serial: UInt64
}
