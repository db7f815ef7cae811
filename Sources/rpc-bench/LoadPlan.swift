import RPCClient
import RPCWire

/// What is called, how often at once, and how fast.
struct LoadPlan: Sendable {
  let host: String
  let port: UInt16
  let procedure: String
  let arguments: [Value]
  var connections = 1
  var outstanding = 1
  var identity: String?
  var timeoutMilliseconds: UInt32?
  var busyPollMicroseconds: UInt64 = 0
  /// The key of the server's certificate, where it is spoken to in TLS.
  var certificate: CertificatePin?
  /// What the client shows of itself there.
  var ownCertificate: OwnCertificate?
  /// Calls per second over all connections, nil for the closed loop.
  var rate: Double?

  init(host: String, port: UInt16, procedure: String, arguments: [Value]) {
    self.host = host
    self.port = port
    self.procedure = procedure
    self.arguments = arguments
  }

  static let serverName = "server"

  var service: String { String(procedure.prefix { $0 != "." }) }
  var rpc: String { String(procedure.drop { $0 != "." }.dropFirst()) }

  var server: Topology.Server {
    Topology.Server(name: Self.serverName, host: host, port: port, certificate: certificate)
  }

  /// A client of its own, with one connection.
  func makeClient() -> RPCClient {
    var options = ClientOptions()
    options.agent = "rpc-bench/1.0"
    options.certificate = ownCertificate
    options.busyPoll = .microseconds(Int64(busyPollMicroseconds))
    let topology = Topology(
      servers: [server],
      clients: identity.map { [.init(name: $0)] } ?? [],
      services: [.init(name: service, providers: [Self.serverName], tenants: identity.map { [$0] } ?? [])])
    return RPCClient(topology: topology, identity: identity, options: options)
  }

  var callOptions: CallOptions {
    timeoutMilliseconds.map { .deadline(.milliseconds(Int64($0))) } ?? CallOptions()
  }
}

/// The calls that typed Swift code would make, where the arguments and results are of a common shape, so that
/// the typed API is what is measured.
enum CallShape: Sendable {
  /// `(int, int) -> int`.
  case pair(Int, Int)
  /// `(bytes) -> bytes`.
  case echo(Bytes)
  /// Anything else, called with values.
  case values([Value])

  init(arguments: [Value], results: [Value]) {
    self = .values(arguments)
    guard results.count == 1 else { return }
    if arguments.count == 2, case .int(let left) = arguments[0], case .int(let right) = arguments[1],
      case .int = results[0]
    {
      self = .pair(Int(left), Int(right))
    } else if arguments.count == 1, case .bytes(let bytes) = arguments[0], case .bytes = results[0] {
      self = .echo(Bytes(bytes))
    }
  }
}
