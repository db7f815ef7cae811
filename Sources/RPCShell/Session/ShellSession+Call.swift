import RPCClient
import RPCProcedures
import RPCWire

extension ShellSession {
  /// Understands a call's words: asks for a catalogue where none is known yet, reads files, chooses the overload.
  func plan(_ words: BoundWords) async throws(CommandFailure) -> CallPlan {
    let settings = settings
    await ensureCatalogues(for: words)
    do throws(CommandFailure) {
      let head = try CallPlan.head(words, snapshotWithoutStates)
      var plan = try CallPlan.make(head, try loader().load(words.all("ARG")), settings)
      if let text = words.flag("-t")?.plainText { plan.request.deadline = Quantity.duration(parsing: text) }
      return plan
    } catch {
      throw remember(error)
    }
  }

  func ensureCatalogues(for words: BoundWords) async {
    let snapshot = snapshotWithoutStates
    let servers: [String]
    if let head = try? CallPlan.head(words, snapshot) {
      servers =
        switch head.target {
        case .one(let server): [server]
        case .several(let servers): servers
        case .any: head.name.service.map { snapshot.providers(of: $0) } ?? []
        }
    } else {
      // A name without service: a server that knows it must be found first.
      servers = snapshot.currentServer.map { [$0] } ?? snapshot.serverNames
    }
    let timeout = words.flag("-t").flatMap { Quantity.duration(parsing: $0.plainText) } ?? settings.timeout
    let most = ShellLimits.systemCallDeadline
    await ensureCatalogue(
      ofAnyOf: servers, within: min(max(timeout ?? most, ShellLimits.catalogueWaitMin), most))
  }

  /// Calls one server, or any, and remembers how it went.
  func perform(_ plan: CallPlan) async throws(CommandFailure) -> CallResult {
    let started = ContinuousClock.now
    do throws(RPCError) {
      let result = try await backend.call(plan.request)
      change { state in
        state.history.lastSuccess = result
        state.silent[result.server] = nil
      }
      return result
    } catch {
      throw failed(plan, error, ContinuousClock.now - started)
    }
  }

  /// Notes a failed call for `why`, and makes of it what is told.
  func failed(_ plan: CallPlan, _ error: RPCError, _ elapsed: Duration) -> CommandFailure {
    let servers: [String] =
      switch plan.target {
      case .one(let server): [server]
      case .several(let servers): servers
      case .any: []
      }
    change { state in
      state.history.lastUsage = nil
      state.history.lastFailure = CallHistory.Failure(
        request: plan.request, error: error, elapsed: elapsed, servers: servers)
    }
    if error.exception == .cancelled, Task.isCancelled { return .cancelled(plan.procedure, error, elapsed) }
    var failure = CommandFailure.call(
      error, procedure: plan.procedure, server: error.server ?? plan.request.server)
    // The server's message says what is wrong; the line shows where.
    if error.exception == .invalidArguments { failure.span = plan.doubt?.span }
    return failure
  }

  /// Calls several servers at once.
  func performEverywhere(_ plan: CallPlan, _ servers: [String]) async -> FanOut {
    let backend = backend
    let entries = await withTaskGroup(of: (Int, FanOut.Entry).self) { group in
      for (index, server) in servers.enumerated() {
        group.addTask {
          var request = plan.request
          request.server = server
          let started = ContinuousClock.now
          let result: Result<CallResult, RPCError>
          do throws(RPCError) {
            result = .success(try await backend.call(request))
          } catch {
            result = .failure(error.beside(backend.topology.server(server)))
          }
          return (index, FanOut.Entry(server: server, elapsed: ContinuousClock.now - started, result: result))
        }
      }
      var entries: [(Int, FanOut.Entry)] = []
      for await entry in group { entries.append(entry) }
      return entries.sorted { $0.0 < $1.0 }.map(\.1)
    }
    return FanOut(procedure: plan.procedure, entries: entries)
  }
}
