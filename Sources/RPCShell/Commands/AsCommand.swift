import RPCClient
import RPCWire

enum AsCommand: Command {
  static let name = "as"
  static let group = CommandGroup.session
  static let summary = "call as another client"
  static let grammar = Grammar(.init("CLIENT", .client, .optional))
  static let details = """
    A client is one that init.yaml registers; servers know it by its address or its key, so connections are made \
    again. Without a client it lists them; 'as -' is none of them.
    """
  static let examples = [
    CommandExample("as c1", "call as c1"), CommandExample("as", "all clients, and the one in use"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    if let client = input.words.word("CLIENT") { return try session.become(client == "-" ? nil : client) }
    let snapshot = session.snapshotWithoutStates
    var table = Table(
      [.init("client"), .init("address"), .init("may call", widthMax: 100), .init("")],
      empty: "init.yaml registers no clients")
    for client in snapshot.topology.clients {
      let services = snapshot.topology.services.filter { $0.tenants.contains(client.name) }.map(\.name)
      let isCurrent = client.name == snapshot.identity
      table.rows.append([
        .init(client.name, role: .name),
        .init(address(of: client)), .names(services),
        .init(isCurrent ? "← in use" : "", .bool(isCurrent), role: .good),
      ])
    }
    table.columns[3].name = input.output.renderer.format == .json ? "current" : ""
    input.output.emit(.table(table))
  }

  private static func address(of client: Topology.Client) -> String {
    let address = (client.host ?? "any address") + (client.port.map { ":\($0)" } ?? "")
    return client.key == nil ? address : "\(address), with its key"
  }
}
