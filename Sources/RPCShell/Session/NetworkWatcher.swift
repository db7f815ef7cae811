import RPCClient
import RPCWire
import Synchronization

/// Listens for news of the servers while someone sits at the prompt: fetches catalogues in the background, and says
/// when a server goes, comes back or has something new.
final class NetworkWatcher: Sendable {
  private struct State {
    var task: Task<Void, Never>?
    /// Servers that were there once: their coming back is news.
    var seen: Set<String> = []
    var generations: [String: Int] = [:]
  }

  private let session: Session
  private let news: News
  private let state = Mutex(State())

  init(session: Session, news: News) {
    self.session = session
    self.news = news
  }

  func start() {
    let task = Task {
      var current = session.backend
      while !Task.isCancelled {
        for server in current.topology.servers { session.refreshInBackground(server.name) }
        for await event in current.events() { handle(event) }
        // The stream ends with its client: another identity, or the end.
        if Task.isCancelled { return }
        current = session.backend
        await Task.yield()
      }
    }
    state.withLock { $0.task = task }
  }

  func stop() { state.withLock { $0.task }?.cancel() }

  private func handle(_ event: ClientEvent) {
    switch event {
    case .connected(let server, let generation):
      session.refreshInBackground(server)
      let isBack = state.withLock { state in
        state.generations[server] = generation
        return !state.seen.insert(server).inserted
      }
      if isBack { say("\(server) is up again") } else { news.touch() }
    case .disconnected(let server, let reason):
      guard let reason, state.withLock({ $0.seen.contains(server) }) else { return news.touch() }
      say("\(server) is down: \(reason.message)")
    case .generation(let server, let serial):
      session.refreshInBackground(server)
      let isNew = state.withLock { $0.generations.updateValue(serial, forKey: server) != serial }
      if isNew { say("\(server) has generation \(serial) of its procedures") }
    case .draining(let server, let reason):
      say("\(server) is shutting down" + (reason.isEmpty ? "" : ": \(reason)"))
    }
  }

  private func say(_ text: String) { session.notify(.note("* " + text)) }
}
