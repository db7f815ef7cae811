package import RPCNetwork
package import RPCProcedures
import RPCWire

/// What an init.yaml names, as far as it can be read: what shells complete command lines with. What is wrong with the
/// file is not said here, in the middle of somebody's typing.
package struct NetworkNames: Sendable {
  package let topology: Topology
  package let procedures: [Procedure]

  /// - Parameter path: of a file that may be missing or wrong.
  package init(file path: String) {
    guard case .success(let bytes) = InitFile.content(path) else {
      topology = Topology(servers: [], clients: [], services: [])
      procedures = []
      return
    }
    var reader = InitFileReader(file: path, checksSources: false, languages: .all)
    reader.read(bytes)
    topology = Topology(
      servers: reader.servers.map(\.server), clients: reader.clients.map(\.client),
      services: reader.services.map { service in
        Topology.Service(
          name: service.name, providers: service.providers.map(\.name), tenants: service.tenants.map(\.name))
      })
    procedures = reader.procedures.map(\.procedure)
  }

  /// The file that the words of a command line name, by itself or with `flag`, else `init.yaml`.
  ///
  /// - Parameter words: as a shell splits them while they are typed: with quotes, and perhaps with `=` by itself.
  package init(words: [String], flag: String) {
    var path = InitFile.defaultPath
    for (index, word) in words.enumerated() {
      if !word.hasPrefix("-"), word.hasSuffix(".yaml") || word.hasSuffix(".yml") { path = word }
      if word.hasPrefix(flag + "=") { path = String(word.dropFirst(flag.utf8.count + 1)) }
      guard word == flag, index + 1 < words.count else { continue }
      let next = words[index + 1] == "=" && index + 2 < words.count ? words[index + 2] : words[index + 1]
      if !next.isEmpty { path = next }
    }
    self.init(file: Self.unquoted(path))
  }

  /// A word without the quotes and backslashes that it was typed with.
  package static func unquoted(_ word: String) -> String {
    var text = ""
    var isEscaped = false
    for character in word {
      if isEscaped {
        text.append(character)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else if character != "'", character != "\"" {
        text.append(character)
      }
    }
    return text
  }

  package var servers: [String] { topology.servers.map(\.name) }
  package var clients: [String] { topology.clients.map(\.name) }

  package var hosts: [String] { Self.once(topology.servers.map(\.host).filter { !$0.isEmpty }) }

  /// The ports of servers at the address among some words; of all servers where none is there.
  package func ports(after words: some Sequence<String>) -> [String] {
    let servers = topology.servers.filter { $0.port != 0 }
    let there = servers.filter { server in words.contains { $0 == server.host } }
    return Self.once((there.isEmpty ? servers : there).map { "\($0.port)" })
  }

  /// `SERVICE.PROCEDURE` of those that the server at the address and port among some words provides, of all where no
  /// server is there.
  package func procedures(after words: some Collection<String>) -> [String] {
    let server = zip(words, words.dropFirst()).lazy.compactMap { host, port in
      topology.servers.first { $0.host == host && "\($0.port)" == port }
    }.first
    return Self.once(
      procedures.map(\.signature).filter { signature in
        guard let server else { return true }
        return topology.service(signature.service)?.providers.contains(server.name) ?? false
      }.map(\.qualifiedName))
  }

  private static func once(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { seen.insert($0).inserted }
  }
}
