import RPCNetwork
import RPCProcedures
import RPCWire

/// The keys of one map of init.yaml. The reader takes these and no others, and `InitFileSchema` tells editors the same.
struct KeyTable: Sendable {
  struct Key: Sendable {
    /// The first is what messages call it; the others mean the same.
    var names: [String]
    var shape: ValueShape
    var isRequired: Bool
    /// What an editor shows.
    var text: String

    init(_ names: String..., is shape: ValueShape, required: Bool = false, _ text: String) {
      self.names = names
      self.shape = shape
      isRequired = required
      self.text = text
    }
  }

  let keys: [Key]
  /// Keys of which one at least must be there.
  var atLeastOne: [String] = []

  init(_ keys: [Key], atLeastOne: [String] = []) {
    self.keys = keys
    self.atLeastOne = atLeastOne
  }

  /// Every name, for suggestions.
  var names: [String] { keys.flatMap(\.names) }

  func key(named name: String) -> Key? { keys.first { $0.names.contains(name) } }
}

/// What the value of a key may look like. Whether it means something is the reader's to say.
indirect enum ValueShape: Sendable {
  case text
  case port
  case flag
  /// `true` or `false`, or a list of ports.
  case network
  case duration
  case size
  case choice([String])
  /// A whole number in bounds.
  case number(ClosedRange<Int>)
  /// What gRPC may call a method.
  case methodName
  /// Of Python.
  case version
  /// The number of a field in protobuf.
  case fieldNumber
  /// Names that are declared elsewhere, each once.
  case references
  /// Whole paths on the servers.
  case paths
  /// The spelling of a type.
  case type
  /// A list of types, each with or without a name.
  case parameters
  /// A list of types.
  case results
  case table(KeyTable)
  /// Named entries: a list of one-key maps, or a map.
  case entries(ValueShape)
  /// This, or a list of it: overloads of one name.
  case overloads(ValueShape)
  /// This, or nothing.
  case optional(ValueShape)
}

// MARK: The tables

extension KeyTable {
  static let file = KeyTable([
    Key("network", is: .table(network), required: true, "The servers, and the clients that may call them."),
    Key(
      "service", "services", is: .optional(.entries(.table(service))),
      "The services: who provides them, who may call them, which procedures they have."),
    Key(
      "rpc", is: .optional(.entries(.optional(.entries(.overloads(.table(procedure)))))),
      "The procedures of each service: what they take and return, and where their source is."),
  ])

  static let network = KeyTable([
    Key(
      "name", is: .text,
      "What the network is called, 'default' without it: servers take no other's deployments."),
    Key("servers", is: .entries(.table(server)), required: true, "The servers, each with its address."),
    Key("clients", is: .optional(.entries(.table(client))), "Who may call, and how each is known."),
    Key(
      "ca", is: .text,
      "A file with the certificates, as PEM, of the authorities that vouch for the servers; relative to this file."
    ),
  ])

  static let server = KeyTable([
    Key("ip", "host", is: .text, required: true, "An IPv4 or IPv6 address, or a host name."),
    Key("port", is: .port, required: true, "The TCP port that it listens on."),
    Key(
      "key", is: .text, "The server's public key, ssh-ed25519 …: another server at this address is refused."),
    Key(
      "certificate", is: .text,
      "The pin of its certificate, sha256//…, as 'rpc-server --print-pin' prints it: calls go by TLS."),
  ])

  static let client = KeyTable(
    [
      Key("ip", "host", is: .text, "The address that it calls from, or a network such as 10.0.0.0/8."),
      Key("port", is: .port, "The port that it calls from; any where it is left out."),
      Key("key", is: .text, "Its public key, ssh-ed25519 …, instead of an address."),
      Key(
        "certificate", is: .text,
        "The pin of its certificate, sha256//…, or a name that an authority vouches for."),
      Key("token", is: .text, "The digest of its token, sha256:…, for calls over HTTP."),
    ], atLeastOne: ["ip", "key", "certificate", "token"])

  static let service = KeyTable([
    Key("providers", is: .references, required: true, "The servers that serve it."),
    Key(
      "tenants", is: .references, required: true,
      "Who may call it: clients, servers for their procedures, 'service NAME' for another service's."),
    Key("rpcs", is: .references, required: true, "The procedures that it has."),
    Key(
      "isolation", is: .choice(Isolation.allCases.map(\.rawValue)),
      "How far the processes of its procedures are confined at least; the server's --isolation where it is left out."
    ),
    Key(
      "network", is: .network,
      "Whether its procedures may make sockets, or the ports that they may connect to."),
    Key("read", is: .paths, "Paths on the servers that its procedures may read, with all below."),
    Key("write", is: .paths, "Paths on the servers that its procedures may read and write, with all below."),
    Key(
      "workers", is: .number(1...Confinement.workersMax), "Calls of it that run at once on each loop at most."
    ),
    Key("env", is: .entries(.text), "Variables of the environment of its procedures, as NAME: value."),
    Key(
      "secrets", is: .references, "Names of secrets that each of its servers keeps and its procedures get."),
    Key(
      "requirements", is: .text,
      "A file of pip's with the packages that its Python procedures have; relative to this file."),
    Key(
      "python", is: .version,
      "The version of Python that runs its procedures, such as 3.12, of those that the servers have."),
  ])

  static let procedure = KeyTable([
    Key("args", is: .parameters, "The types of its arguments, each alone or as NAME: TYPE."),
    Key("returns", is: .results, "The types of the values that it returns; [] for none."),
    Key("src", is: .text, required: true, "The file with its source; relative to this file."),
    Key("doc", is: .text, "What it does, for those who call it."),
    Key(
      "timeout", is: .duration, "How long a call may take at most: 500ms, 2s, 1m, 1h, or a number of seconds."
    ),
    Key("memory", is: .size, "The memory that a call may use: 64MiB, 1GiB, or a number of bytes."),
    Key("idempotent", is: .flag, "Whether a call may be repeated without harm."),
    Key("function", is: .text, "The function in the source, where it is not named like the procedure."),
    Key(
      "language", is: .choice(Languages.all.entries.map(\.language.name)),
      "What the source is written in, where the file's ending does not say it."),
    Key("grpc", is: .methodName, "The name of its method in gRPC."),
  ])

  static let pinnedType = KeyTable([
    Key("type", is: .type, required: true, "The type of the value."),
    Key("field", is: .fieldNumber, "The number of the field in gRPC's message."),
  ])
}
