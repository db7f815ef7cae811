import RPCClient
import RPCDeployment
import RPCProcedures
import RPCSystem
import RPCTransport
import RPCWire

@testable import RPCShell

/// A network that answers by the book, without any socket: three servers, one of which is down.
final class FakeBackend: ShellBackend {
  typealias Body = @Sendable (_ arguments: [Value], _ server: String) -> Result<[Value], RPCError>

  struct State: Sendable {
    var requests: [CallRequest] = []
    var cancelled = 0
    var pending: [@Sendable (Result<CallResult, RPCError>) -> Void] = []
    var down: Set<String> = ["s3"]
    /// They take calls and never answer.
    var silent: Set<String> = []
  }

  let topology: Topology
  let declared: [Procedure]
  let identity: String?
  let state = Lock(State())

  init(identity: String? = "c1") {
    self.identity = identity
    topology = Topology(
      servers: [
        .init(name: "s1", host: "127.0.0.1", port: 8181), .init(name: "s2", host: "127.0.0.1", port: 8282),
        .init(name: "s3", host: "::1", port: 8383),
      ],
      clients: [.init(name: "c1", host: "127.0.0.1", port: 6000), .init(name: "c2")],
      services: [
        .init(name: "text", providers: ["s1", "s2"], tenants: ["c1", "c2"]),
        .init(name: "math", providers: ["s2", "s3"], tenants: ["c2"]),
      ])
    declared = Self.procedures
  }

  static let procedures: [Procedure] = [
    procedure("text", "concat", [("a", "int"), ("b", "str")], ["str"], about: "Joins both."),
    procedure("text", "concat", [("a", "int"), ("b", "int")], ["int"]),
    procedure("text", "upper", [("text", "str")], ["str"]),
    procedure("text", "wait", [], []),
    procedure("math", "add", [("a", "int"), ("b", "int")], ["int"]),
    procedure("math", "mean", [(nil, "List[float]")], ["float"]),
    procedure("math", "divide", [("a", "int"), ("b", "int")], ["int", "int"]),
    procedure("math", "either", [(nil, "int"), (nil, "str")], ["str"]),
    procedure("math", "either", [(nil, "str"), (nil, "int")], ["str"]),
    procedure("math", "flag", [("on", "bool"), ("data", "Optional[bytes]")], ["bool"]),
  ]

  static func procedure(
    _ service: String, _ name: String, _ parameters: [(String?, String)], _ returns: [String],
    about: String? = nil
  ) -> Procedure {
    Procedure(
      signature: Signature(
        service: service, name: name,
        parameters: parameters.map { Parameter((try? ValueType(parsing: $0.1)) ?? .any, name: $0.0) },
        returns: returns.map { (try? ValueType(parsing: $0)) ?? .any }),
      language: .python, digest: "ab12cd34ef567890ab12", sourceName: "\(name).py", documentation: about)
  }

  func state(of server: String) -> ServerState {
    state.withLock { $0.down.contains(server) }
      ? .down(RPCError(.unavailable, "connection refused")) : .up(generation: 3, roundTrip: .microseconds(80))
  }

  func events() -> AsyncStream<ClientEvent> { AsyncStream { $0.finish() } }
  func update(topology: Topology) {}
  func close() {}

  func ping(_ server: String) async throws(RPCError) -> Duration {
    if case .down(let error) = state(of: server) { throw error }
    return .microseconds(120)
  }

  struct Handle: CallCancellation {
    let backend: FakeBackend
    func cancel() {
      let pending = backend.state.withLock { state in
        state.cancelled += 1
        let pending = state.pending
        state.pending = []
        return pending
      }
      for completion in pending { completion(.failure(RPCError(.cancelled, "the caller gave up"))) }
    }
  }

  func start(
    _ request: CallRequest, completion: @escaping @Sendable (Result<CallResult, RPCError>) -> Void
  ) -> any CallCancellation {
    state.withLock { $0.requests.append(request) }
    let service = String(request.procedure.prefix { $0 != "." })
    let server = request.server ?? topology.service(service)?.providers.first ?? "s1"
    if case .down(let error) = state(of: server) {
      completion(.failure(error))
    } else if request.procedure == "text.wait" || state.withLock({ $0.silent.contains(server) }) {
      state.withLock { $0.pending.append(completion) }
    } else {
      completion(
        answer(request, server).map {
          CallResult(values: $0, server: server, elapsed: .milliseconds(server == "s2" ? 2 : 1), attempts: 1)
        })
    }
    return Handle(backend: self)
  }

  private func answer(_ request: CallRequest, _ server: String) -> Result<[Value], RPCError> {
    let arguments = request.arguments
    switch request.procedure {
    case "system.catalogue": return .success(catalogue(of: server).values)
    case "system.stats":
      var statistics = ServerStatistics()
      statistics.calls = 12_345
      statistics.uptimeMilliseconds = 61_000
      return .success(statistics.values)
    case "system.source": return .success(["def upper(text):\n    return text.upper()\n"])
    case "system.deploy_status": return .success(DeploymentStatus(generation: 3).values)
    case "text.concat":
      if case .int(let left) = arguments[0], case .int(let right) = arguments[1] {
        return .success([.int(left + right)])
      }
      return .success([.string("\(arguments[0].intValue ?? 0)\(arguments[1].stringValue ?? "")")])
    case "text.upper":
      guard let text = arguments.first?.stringValue else {
        return .failure(
          RPCError(.invalidArguments, "no overload of text.upper takes these: text.upper(text: str) -> str"))
      }
      return .success([.string(server == "s2" ? text.uppercased() + "!" : text.uppercased())])
    case "math.add": return .success([.int((arguments[0].intValue ?? 0) + (arguments[1].intValue ?? 0))])
    case "math.divide":
      guard let right = arguments[1].intValue, right != 0, let left = arguments[0].intValue else {
        return .failure(
          RPCError(.executionException, "division by zero", executed: .yes, source: "divide.py:2"))
      }
      return .success([.int(left / right), .int(left % right)])
    default: return .failure(RPCError(.rpcNotFound, "there is no '\(request.procedure)'"))
    }
  }

  private func catalogue(of server: String) -> ServerCatalogue {
    ServerCatalogue(
      version: "1", generation: 3, digest: "feed",
      services: topology.services.filter { $0.providers.contains(server) }.map { service in
        ServerCatalogue.Service(
          name: service.name, tenants: service.tenants, providers: service.providers,
          procedures: Self.procedures.filter { $0.signature.service == service.name })
      })
  }
}

/// A session on the fake network, and what it printed.
struct TestShell {
  let backend: FakeBackend
  let session: ShellSession
  let output: CollectingOutput

  init(_ format: OutputFormat = .auto, interactive: Bool = false, backend: FakeBackend = FakeBackend()) {
    self.backend = backend
    session = ShellSession(backend: backend) { identity throws(CommandFailure) in
      if identity == "nobody" { throw .usage("no client 'nobody'") }
      return FakeBackend(identity: identity)
    }
    output = CollectingOutput(
      renderer: Renderer(format: format, style: .none, width: 100, isInteractive: interactive))
  }

  /// Runs lines one after the other; what they print, errors behind `!`.
  func run(_ lines: String...) async -> String {
    var seen = output.text
    var text = ""
    for line in lines {
      for command in CommandLine.all(in: line) {
        do throws(CommandFailure) {
          try await session.execute(command, output)
        } catch {
          output.add(output.renderer.render(error, line: command))
        }
      }
      let now = output.text
      let err = now.err.dropFirst(seen.err.count)
      if !err.isEmpty { text += "!" + err }
      text += now.out.dropFirst(seen.out.count)
      seen = now
    }
    return text
  }

  func snapshot() async -> NetworkSnapshot { await session.lookAround(at: nil) }
}
