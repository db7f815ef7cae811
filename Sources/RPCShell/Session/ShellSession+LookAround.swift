import RPCClient
import RPCWire

extension ShellSession {
  /// What is known after asking a server, or every server, for its catalogue. A server that does not answer soon is left
  /// with what is known already.
  func lookAround(at server: String?) async -> NetworkSnapshot {
    let names = server.map { [$0] } ?? snapshotWithoutStates.serverNames
    await withTaskGroup(of: Void.self) { group in
      for name in names { group.addTask { _ = try? await self.refreshCatalogue(of: name) } }
    }
    return snapshot
  }
}
