import Foundation
import RPCClient
import TestSupport

/// Real servers on free ports, each with data of its own, and the init.yaml that describes them. Everything
/// ends with the test.
final class Network {
  let directory: TemporaryDirectory
  /// Port by server's name.
  let ports: [String: Int]
  /// Ports that clients are registered with, by name.
  let clientPorts: [String: Int]
  private(set) var servers: [String: ChildProcess] = [:]

  /// - Parameters:
  ///   - clients: names to register, each with a port of its own; `me`, anybody on this machine, is always there.
  ///   - options: for each rpc-server.
  init(
    _ names: [String] = ["s1"], clients: [String] = [], options: [String] = [], start: Bool = true
  ) throws {
    directory = TemporaryDirectory()
    var ports: [String: Int] = [:]
    for name in names { ports[name] = try FreePort.take() }
    self.ports = ports
    var clientPorts: [String: Int] = [:]
    for name in clients { clientPorts[name] = try FreePort.take() }
    self.clientPorts = clientPorts
    if start {
      for name in names { try self.start(name, options: options, waiting: false) }
      for server in servers.values { try server.waitForLine("listening on") }
    }
  }

  deinit {
    for server in servers.values { server.signalGroup(SIGKILL) }
    for server in servers.values { _ = try? server.waitForEnd(seconds: 10) }
  }

  func port(_ name: String) throws -> Int {
    guard let port = ports[name] else { throw Failure("no server \(name)") }
    return port
  }

  func server(_ name: String) throws -> ChildProcess {
    guard let server = servers[name] else { throw Failure("no server \(name)") }
    return server
  }

  // MARK: Servers

  @discardableResult
  func start(
    _ name: String, options: [String] = [], waiting: Bool = true
  ) throws -> ChildProcess {
    let server = try ChildProcess(
      Programs.server,
      ["127.0.0.1", "\(port(name))", "--data", "\(directory.path)/data/\(name)"] + options)
    servers[name] = server
    if waiting { try server.waitForLine("listening on") }
    return server
  }

  // MARK: The file

  /// Writes init.yaml: the network as it is, and these services and procedures. `$c1` and the like in `text`
  /// are not touched; indentation is the caller's.
  func describe(_ text: String, clients extra: String = "") throws {
    let serverLines = ports.keys.sorted().map { "    - \($0): {ip: 127.0.0.1, port: \(ports[$0] ?? 0)}" }
    let clientLines = clientPorts.keys.sorted().map {
      "    - \($0): {ip: 127.0.0.1, port: \(clientPorts[$0] ?? 0)}"
    }
    try directory.write(
      """
      network:
        servers:
      \(serverLines.joined(separator: "\n"))
        clients:
          - me: {ip: 127.0.0.1}
      \(clientLines.joined(separator: "\n"))
      \(extra)
      \(text)
      """, to: "init.yaml")
  }

  var file: String { "\(directory.path)/init.yaml" }

  /// Runs the initializer on the file.
  func initialize(_ options: [String] = []) throws -> Outcome {
    try run(Programs.initializer, [file] + options)
  }

  /// Runs the initializer, which must succeed.
  @discardableResult
  func deploy() throws -> Outcome {
    let outcome = try initialize()
    guard outcome.ending == .code(0) else { throw Failure("the initializer failed: \(outcome)") }
    return outcome
  }

  /// One service `test` on every server, for `me`, with one Python file of procedures.
  ///
  /// - Parameter procedures: as in the list of an rpc's entries, without the source: `add: {args: [int, int],
  ///   returns: [int]}`.
  func deployPython(_ procedures: [String], source: String) throws {
    try directory.write(source, to: "test.py")
    let names = procedures.compactMap { $0.split(separator: ":").first.map(String.init) }
    var unique: [String] = []
    for name in names where !unique.contains(name) { unique.append(name) }
    let entries = procedures.map { "    - \($0.dropLast()), src: test.py}" }
    try describe(
      """
      service:
        - test:
            providers: [\(ports.keys.sorted().joined(separator: ", "))]
            tenants: [me]
            rpcs: [\(unique.joined(separator: ", "))]
            network: \(source.contains("import socket"))
      rpc:
        test:
      \(entries.joined(separator: "\n"))
      """)
    try deploy()
  }

  // MARK: Callers

  func lines(_ name: String = "s1", as client: String? = nil) throws -> LineClient {
    try LineClient(port: port(name), sourcePort: client.flatMap { clientPorts[$0] })
  }

  /// A client library's client that knows the servers and one service that all of them provide.
  func client(service: String = "test", options: ClientOptions = ClientOptions()) -> RPCClient {
    let names = ports.keys.sorted()
    return RPCClient(
      topology: Topology(
        servers: names.map { .init(name: $0, host: "127.0.0.1", port: UInt16(ports[$0] ?? 0)) },
        services: [.init(name: service, providers: names, tenants: ["me"])]),
      options: options)
  }

  /// Runs commands in the shell, one a line.
  func shell(_ commands: String..., options: [String] = []) throws -> Outcome {
    try run(
      Programs.shell, ["--config", file] + options, input: .text(commands.joined(separator: "\n") + "\n"))
  }
}
