package import RPCWire

/// Whose deployments were ended, server by server.
package struct UnlockReport: Sendable {
  package struct Server: Sendable {
    package var name: String
    /// The lock that was there, nil where there was none.
    package var result: Result<DeploymentStatus.Lock?, RPCError>

    package init(name: String, result: Result<DeploymentStatus.Lock?, RPCError>) {
      self.name = name
      self.result = result
    }
  }

  /// In the order of the file.
  package var servers: [Server]

  package init(servers: [Server]) { self.servers = servers }

  package var succeeded: Bool {
    servers.allSatisfy {
      if case .success = $0.result { true } else { false }
    }
  }

  /// Lines, each ended.
  package var text: String {
    let width = servers.map(\.name.count).max() ?? 0
    return servers.map { server in
      let name = server.name + String(repeating: " ", count: width - server.name.count)
      switch server.result {
      case .success(let lock?):
        let seconds = (lock.remainingMilliseconds + 999) / 1000
        return "\(name)  unlocked; it was locked by \(lock.who), for \(seconds) s more\n"
      case .success(nil): return "\(name)  was not locked\n"
      case .failure(let error): return "\(name)  failed: \(error.message)\n"
      }
    }.joined()
  }

  package var value: Value {
    [
      "ok": .bool(succeeded),
      "servers": .list(
        servers.map { server in
          switch server.result {
          case .success(let lock?): ["name": .string(server.name), "lock": lock.encoded]
          case .success(nil): ["name": .string(server.name), "lock": .null]
          case .failure(let error):
            [
              "name": .string(server.name),
              "error": [
                "exception": .string(error.exception.rawValue), "message": .string(error.message),
              ],
            ]
          }
        }),
    ]
  }
}
