internal import Glibc
internal import RPCKeys
internal import RPCNetwork
internal import RPCSystem
internal import RPCTransport
internal import RPCWire
internal import Synchronization

/// Carries calls from any thread to the client's loop, and starts that loop with the first call. Many calls
/// that are made while the loop is busy cost it one wake-up.
///
/// `@unchecked Sendable`: `core` is set and read on the loop's thread alone; the rest is behind the lock or
/// never changes.
@usableFromInline
internal final class ClientEngine: @unchecked Sendable {
  private struct State {
    var calls: [Call] = []
    var isDrainPosted = false
    var isClosed = false
    var thread: LoopThread?
    var topology: Topology
    var states: [UTF8Key: ServerState] = [:]
    /// What servers proved last.
    var keys: [UTF8Key: PublicKey] = [:]
    var listeners: [Int: AsyncStream<ClientEvent>.Continuation] = [:]
    var nextListener = 0
  }

  internal let routes = RouteTable()
  internal let options: ClientOptions
  internal let identity: String?
  private let state: Lock<State>
  /// The loop's thread once it runs, else 0, which no thread is.
  private let loopThread = Atomic<UInt>(0)
  @exclusivity(unchecked) private nonisolated(unsafe) var core: ClientCore?
  private nonisolated(unsafe) var drained: [Call] = []

  internal init(topology: Topology, identity: String?, options: ClientOptions) {
    self.options = options
    self.identity = identity
    state = Lock(State(topology: topology))
  }

  // MARK: Calls

  /// Makes a call and hands it to the loop, where it may be over before this returns; `serial` tells whether
  /// it is. On the loop's own thread, from a callback, it starts at once.
  @usableFromInline
  internal func start(
    _ route: Route, _ options: CallOptions, encode: (inout ByteQueue) -> Void,
    completion: @escaping Call.Completion
  ) -> (call: Call, serial: UInt64) {
    checkOwner(of: route)
    let core = coreIfOnLoop
    let call =
      core?.makeCall(route, options)
      ?? Call(route: route, options: options, now: SystemClock.monotonicNanoseconds())
    let serial = call.serial
    encode(&call.arguments)
    call.completion = completion
    if let core { core.submit(call, on: route) } else { post(call) }
    return (call, serial)
  }

  private func checkOwner(of route: Route) {
    precondition(route.belongs(to: routes), "a procedure is called by the client that looked it up")
  }

  /// Hands a call to the loop.
  @usableFromInline
  internal func submit(_ call: Call) {
    if let core = coreIfOnLoop { core.submit(call, on: call.route) } else { post(call) }
  }

  private func post(_ call: Call) {
    var mailbox: Mailbox?
    var failure: RPCError?
    state.withLock { state in
      do throws(RPCError) {
        let thread = try running(&state)
        state.calls.append(call)
        if !state.isDrainPosted {
          state.isDrainPosted = true
          mailbox = thread.mailbox
        }
      } catch {
        failure = error
      }
    }
    if let failure {
      call.setFailure(failure)
      call.completion?(call, RawSpan())
      return
    }
    // Outside the lock: waking the loop is a system call.
    mailbox?.post { [self] _ in drain() }
  }

  private func drain() {
    state.withLock { state in
      state.isDrainPosted = false
      swap(&state.calls, &drained)
    }
    for call in drained { core?.submit(call, on: call.route) }
    drained.removeAll(keepingCapacity: drained.capacity <= 4096)
  }

  @usableFromInline
  internal func cancel(_ call: Call, serial: UInt64) {
    if let core = coreIfOnLoop { return core.cancel(call, serial: serial) }
    let mailbox = state.withLock { state in
      // Without a loop the call was not handed over yet; the thread that does it takes this lock first.
      if state.thread == nil { call.wasCancelledEarly = true }
      return state.thread?.mailbox
    }
    mailbox?.post { [self] _ in core?.cancel(call, serial: serial) }
  }

  /// A call to be filled and submitted: one that has been used before on the loop's thread, a new one
  /// elsewhere.
  @usableFromInline
  internal func makeCall(_ route: Route, _ options: CallOptions) -> Call {
    checkOwner(of: route)
    if let core = coreIfOnLoop { return core.makeCall(route, options) }
    return Call(route: route, options: options, now: SystemClock.monotonicNanoseconds())
  }

  private var coreIfOnLoop: ClientCore? {
    loopThread.load(ordering: .relaxed) == UInt(pthread_self()) ? core : nil
  }

  /// Runs `body` on the loop, unless the client is closed or never called anything.
  internal func onLoop(_ body: @escaping @Sendable (ClientCore) -> Void) {
    if let core = coreIfOnLoop { return body(core) }
    let mailbox = state.withLock { $0.thread?.mailbox }
    mailbox?.post { [self] _ in
      if let core { body(core) }
    }
  }

  /// Runs `body` on the loop, which is started if need be.
  internal func onRunningLoop(_ body: @escaping @Sendable (ClientCore) -> Void) throws(RPCError) {
    _ = try state.withLock { state throws(RPCError) in try running(&state) }
    onLoop(body)
  }

  // MARK: The loop

  private func running(_ state: inout State) throws(RPCError) -> LoopThread {
    if state.isClosed { throw RPCError(.unavailable, "the client was closed") }
    if let thread = state.thread { return thread }
    let topology = state.topology
    do {
      let thread = try LoopThread(name: "rpc-client") { [self] loop in setUp(loop, topology) }
      state.thread = thread
      return thread
    } catch {
      throw RPCError(.unavailable, "the client cannot start: \(error)")
    }
  }

  private func setUp(_ loop: EventLoop, _ topology: Topology) {
    loop.busyPollNanoseconds = options.busyPoll.nanoseconds
    let core = ClientCore(
      loop: loop, topology: topology, identity: identity, options: options, routes: routes)
    core.onEvent = { [unowned self] event in publish(event) }
    core.onServerKey = { [unowned self] server, key in
      state.withLock { $0.keys[UTF8Key(server)] = key }
    }
    core.onState = { [unowned self] server, state in
      self.state.withLock { $0.states[UTF8Key(server)] = state }
    }
    self.core = core
    loopThread.store(UInt(pthread_self()), ordering: .relaxed)
    if options.staysConnected { core.connectAll() }
  }

  /// Ends the loop after failing what is in flight; returns the thread for those who wait for its end.
  @discardableResult
  internal func close() -> LoopThread? {
    let (thread, listeners, isFirst) = state.withLock { state in
      defer {
        state.isClosed = true
        state.listeners = [:]
      }
      return (state.thread, Array(state.listeners.values), !state.isClosed)
    }
    guard isFirst else { return thread }
    thread?.mailbox.post { [self] loop in
      drain()
      core?.close()
      // Once more around, for the failures that are told at the end of the turn.
      loop.atEndOfTurn { [self] in
        core = nil
        loop.stop()
      }
    }
    for listener in listeners { listener.finish() }
    return thread
  }

  // MARK: Topology, state and events

  internal var topology: Topology { state.withLock { $0.topology } }

  internal func updateTopology(_ topology: Topology) {
    state.withLock { state in
      state.topology = topology
      state.states = state.states.filter { topology.server($0.key.text) != nil }
    }
    onLoop { $0.updateTopology(topology) }
  }

  internal func serverState(_ name: String) -> ServerState {
    state.withLock { $0.states[UTF8Key(name)] } ?? .idle
  }

  internal func provenKey(of name: String) -> PublicKey? {
    state.withLock { $0.keys[UTF8Key(name)] }
  }

  internal func events() -> AsyncStream<ClientEvent> {
    // What nobody reads is dropped, oldest first.
    let (stream, continuation) = AsyncStream.makeStream(
      of: ClientEvent.self, bufferingPolicy: .bufferingNewest(ClientLimits.unreadEventsMax))
    let number: Int? = state.withLock { state in
      guard !state.isClosed else { return nil }
      state.nextListener += 1
      state.listeners[state.nextListener] = continuation
      return state.nextListener
    }
    guard let number else {
      continuation.finish()
      return stream
    }
    continuation.onTermination = { [weak self] _ in
      self?.state.withLock { $0.listeners[number] = nil }
    }
    return stream
  }

  internal func publish(_ event: ClientEvent) {
    let listeners = state.withLock { Array($0.listeners.values) }
    for listener in listeners { listener.yield(event) }
  }
}
