import RPCClient
internal import RPCSystem
import RPCWire

/// Follows the servers and the file that names them while someone sits at the prompt: fetches catalogues in the
/// background, and says when a server goes, comes back or has something new, and when the file has changed.
final class NetworkWatcher: Sendable {
  private struct State {
    var task: Task<Void, Never>?
    var pings: Task<Void, Never>?
    var file: Task<Void, Never>?
    /// Servers that were there once: their loss is reported.
    var seen: Set<String> = []
    /// Servers that could not be reached: their return is reported.
    var down: Set<String> = []
    var generations: [String: Int] = [:]
  }

  private let session: ShellSession
  private let notices: NoticeQueue
  private let state = Lock(State())

  init(session: ShellSession, notices: NoticeQueue) {
    self.session = session
    self.notices = notices
  }

  func start() {
    let task = Task {
      var current = session.backend
      while !Task.isCancelled {
        let events = current.events()
        // Who came up before anybody listened has been there, too.
        for server in current.topology.servers {
          refresh(server.name)
          guard case .up(let generation, _) = current.state(of: server.name) else { continue }
          state.withLock { state in
            state.seen.insert(server.name)
            state.generations[server.name] = generation
          }
        }
        for await event in events { handle(event) }
        // The stream ends with its client: another identity, or the end.
        if Task.isCancelled { return }
        current = session.backend
        await Task.yield()
      }
    }
    let pings = Task {
      while (try? await Task.sleep(for: ShellLimits.pingInterval)) != nil { await pingAll() }
    }
    let file = session.network.map { network in
      Task {
        for await change in network.changes {
          guard session.take(change) else { continue }
          for server in session.backend.topology.servers { refresh(server.name) }
        }
      }
    }
    state.withLock { state in
      state.task = task
      state.pings = pings
      state.file = file
    }
  }

  func stop() {
    state.withLock { state in
      state.task?.cancel()
      state.pings?.cancel()
      state.file?.cancel()
    }
  }

  /// Asks every server that is connected for a sign of life: one that hangs keeps its connection.
  private func pingAll() async {
    let backend = session.backend
    await withTaskGroup(of: Void.self) { group in
      for server in backend.topology.servers where backend.state(of: server.name).isUp {
        group.addTask { await self.ping(server.name, backend) }
      }
    }
  }

  private func ping(_ server: String, _ backend: any ShellBackend) async {
    do throws(RPCError) {
      _ = try await backend.ping(server, within: ShellLimits.pingWait)
      if session.noteAnswer(of: server) { say("\(server) answers again") }
    } catch {
      // A lost connection is reported by itself.
      guard backend.state(of: server).isUp, !Task.isCancelled else { return }
      if session.noteSilence(of: server, error) { say("\(server) does not answer: \(brief(error, server))") }
    }
  }

  private func handle(_ event: ClientEvent) {
    switch event {
    case .connected(let server, let generation):
      session.noteAnswer(of: server)
      refresh(server)
      let (isBack, isNew) = state.withLock { state in
        state.generations[server] = generation
        return (!state.seen.insert(server).inserted, state.down.remove(server) != nil)
      }
      if isNew { say("\(server) is up" + (isBack ? " again" : "")) } else { notices.touch() }
    case .disconnected(let server, let reason):
      guard let reason else { return notices.touch() }
      let isNew = state.withLock { state in
        state.down.insert(server)
        return state.seen.contains(server)
      }
      if isNew { say("\(server) is down: \(brief(reason, server))") } else { notices.touch() }
    case .generation(let server, let serial):
      refresh(server)
      let isNew = state.withLock { $0.generations.updateValue(serial, forKey: server) != serial }
      if isNew { say("\(server) has generation \(serial) of its procedures") }
    // What the file says is followed here, and not by the client.
    case .topology, .topologyRefused: break
    case .draining(let server, let reason):
      say("\(server) is shutting down" + (reason.isEmpty ? "" : ": \(reason)"))
    }
  }

  private func brief(_ error: RPCError, _ server: String) -> String {
    error.beside(session.backend.topology.server(server)).message
  }

  private func refresh(_ server: String) {
    session.refreshInBackground(server) { [notices] in notices.touch() }
  }

  private func say(_ text: String) { session.notify(.note("* " + text)) }
}
