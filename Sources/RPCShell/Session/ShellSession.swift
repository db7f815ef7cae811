import RPCClient
import RPCDeployment
import RPCProcedures
internal import RPCSystem
import RPCWire

/// One conversation with a network: who calls, whom, with which settings, and what has come of it so far. Shared
/// by the command at hand, background jobs and what listens for notices; owns no terminal and prints nothing.
final class ShellSession: Sendable {
  struct State: Sendable {
    var backend: any ShellBackend
    var settings: Settings
    var snapshot: NetworkSnapshot
    var history = CallHistory()
    var jobs = JobTable()
    var recorder: Recorder?
    /// How many scripts run one another now.
    var sourceDepth = 0
    /// Whether `-` may still be read, and what it held when it was.
    var standardInput: StandardInput
    /// Servers that are connected but did not answer the last ping, and why.
    var silent: [String: RPCError] = [:]
    /// Servers that are being asked for their catalogue.
    var refreshing: Set<String> = []
    var isEnding = false
    /// Counts the changes of what is known, so that what is derived from it can tell when it is old.
    var version = 0
  }

  enum StandardInput: Sendable {
    case readable
    /// It is the script that is being run.
    case isScript
    case content([UInt8])
  }

  /// Makes a backend for another identity.
  typealias BackendMaker = @Sendable (_ identity: String?) throws(CommandFailure) -> any ShellBackend

  let state: Lock<State>
  /// The file behind the topology, nil where there is none.
  let network: NetworkSource?
  private let makeBackend: BackendMaker
  /// Tells the person something unasked: a job has ended, a server is gone.
  /// Takes over changed settings: colours and format belong to the output.
  let settingsHandler = Lock<(@Sendable (Settings) -> Void)?>(nil)
  private let noticeHandler = Lock<(@Sendable (OutputItem) -> Void)?>(nil)

  init(
    backend: any ShellBackend, settings: Settings = Settings(), standardInput: StandardInput = .readable,
    network: NetworkSource? = nil, makeBackend: @escaping BackendMaker
  ) {
    self.makeBackend = makeBackend
    self.network = network
    var snapshot = NetworkSnapshot(topology: backend.topology)
    snapshot.declared = backend.declared
    snapshot.identity = backend.identity
    state = Lock(
      State(backend: backend, settings: settings, snapshot: snapshot, standardInput: standardInput))
  }

  // MARK: What everybody asks

  var backend: any ShellBackend { state.withLock { $0.backend } }
  var settings: Settings { state.withLock { $0.settings } }
  var version: Int { state.withLock { $0.version } }
  var isEnding: Bool { state.withLock { $0.isEnding } }

  /// What is known now, the servers' states included.
  var snapshot: NetworkSnapshot {
    var (snapshot, backend, silent) = state.withLock { ($0.snapshot, $0.backend, $0.silent) }
    for server in snapshot.topology.servers {
      let state = backend.state(of: server.name)
      // A connection to a server that hangs looks as good as any.
      snapshot.states[server.name] = state.isUp ? silent[server.name].map { .down($0) } ?? state : state
    }
    snapshot.jobs = state.withLock { $0.jobs.running }
    return snapshot
  }

  /// What is known, without asking for the states: for the calls of a script.
  var snapshotWithoutStates: NetworkSnapshot { state.withLock { $0.snapshot } }

  func update(_ change: (inout Settings) -> Void) { state.withLock { change(&$0.settings) } }

  func change<T: Sendable>(_ body: (inout sending State) -> sending T) -> T {
    state.withLock { state in body(&state) }
  }

  func end() { state.withLock { $0.isEnding = true } }

  // MARK: Servers that hang

  /// A server has answered something. True when it had not before.
  @discardableResult
  func noteAnswer(of server: String) -> Bool {
    state.withLock { $0.silent.removeValue(forKey: server) != nil }
  }

  /// A server did not answer a ping. True when that is new.
  @discardableResult
  func noteSilence(of server: String, _ error: RPCError) -> Bool {
    state.withLock { $0.silent.updateValue(error, forKey: server) == nil }
  }

  // MARK: Notices

  func onNotice(_ handler: (@Sendable (OutputItem) -> Void)?) { noticeHandler.withLock { $0 = handler } }

  func notify(_ item: OutputItem) {
    let handler = noticeHandler.withLock { $0 }
    handler?(item)
  }

  // MARK: Server and identity

  func use(_ server: String?) {
    state.withLock { state in
      state.snapshot.currentServer = server
      state.version += 1
    }
  }

  /// Goes on as another client. Calls in flight end with the old one.
  func become(_ identity: String?) throws(CommandFailure) {
    let next = try makeBackend(identity)
    let previous = state.withLock { state in
      let previous = state.backend
      state.backend = next
      state.snapshot.identity = identity
      state.version += 1
      return previous
    }
    previous.close()
  }

  /// Takes over a file that was read again.
  func adopt(topology: Topology, declared: [Procedure]) {
    state.withLock { state in
      state.snapshot.topology = topology
      if let server = state.snapshot.currentServer, topology.server(server) == nil {
        state.snapshot.currentServer = nil
      }
      state.snapshot.declared = declared
      state.version += 1
    }
  }

  // MARK: Results

  /// Keeps a result for `_` and `$3`; returns its number.
  func keep(_ value: Value) -> Int { state.withLock { $0.snapshot.variables.append(value) } }

  func bind(_ name: String, to value: Value?) {
    state.withLock { $0.snapshot.variables.bind(name, to: value) }
  }

  // MARK: Catalogues

  /// Asks a server what it offers and remembers the answer.
  @discardableResult
  func refreshCatalogue(
    of server: String, within limit: Duration = ShellLimits.systemCallDeadline
  ) async throws(RPCError) -> ServerCatalogue {
    var catalogue = try await backend.call(DescribeCatalogue(), on: server, within: limit)
    catalogue.nameParameters(as: snapshotWithoutStates.declared)
    let known = catalogue
    state.withLock { state in
      state.silent[server] = nil
      state.snapshot.catalogues[server] = known
      state.version += 1
    }
    return known
  }

  /// Makes sure that the catalogue of at least one of `servers` is known, if any of them can be reached. The next one is
  /// asked as soon as one fails, or does not answer as quickly as connecting takes.
  ///
  /// - Parameter limit: how long each may take.
  func ensureCatalogue(ofAnyOf servers: [String], within limit: Duration) async {
    let known = state.withLock { $0.snapshot.catalogues }
    if servers.contains(where: { known[$0] != nil }) { return }
    enum Step { case answered, failed, late }
    await withTaskGroup(of: Step.self) { group in
      var next = 0
      func ask(_ group: inout TaskGroup<Step>) {
        guard next < servers.count else { return }
        let server = servers[next]
        next += 1
        group.addTask {
          (try? await self.refreshCatalogue(of: server, within: limit)) == nil ? .failed : .answered
        }
        guard next < servers.count else { return }
        group.addTask {
          try? await Task.sleep(for: .nanoseconds(ClientLimits.connectionAttemptDelayNanoseconds))
          return .late
        }
      }
      ask(&group)
      for await step in group {
        if step == .answered { return group.cancelAll() }
        ask(&group)
      }
    }
  }

  /// Asks for a catalogue without waiting for it; at most one request per server at a time.
  /// - Parameter completion: told when there is something new to know.
  func refreshInBackground(_ server: String, completion: @escaping @Sendable () -> Void) {
    let starts = state.withLock { $0.refreshing.insert(server).inserted }
    guard starts else { return }
    Task {
      let isKnown = (try? await refreshCatalogue(of: server)) != nil
      state.withLock { _ = $0.refreshing.remove(server) }
      if isKnown { completion() }
    }
  }
}

extension ShellSession {
  /// What listens for a changed setting, such as the colours of the terminal, is told.
  func settingsChanged() {
    let settings = settings
    let handler = settingsHandler.withLock { $0 }
    handler?(settings)
  }
}
