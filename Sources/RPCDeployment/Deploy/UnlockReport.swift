public import RPCWire

/// Whose deployments were ended, server by server.
public struct UnlockReport: Sendable {
  public struct Server: Sendable {
    public var name: String
    /// The lock that was there, nil where there was none.
    public var result: Result<DeploymentStatus.Lock?, RPCError>

    public init(name: String, result: Result<DeploymentStatus.Lock?, RPCError>) {
      self.name = name
      self.result = result
    }
  }

  /// In the order of the file.
  public var servers: [Server]

  public init(servers: [Server]) { self.servers = servers }

  public var succeeded: Bool {
    servers.allSatisfy {
      if case .success = $0.result { true } else { false }
    }
  }

  /// Lines, each ended.
  public var text: String {
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

  public var value: Value {
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
