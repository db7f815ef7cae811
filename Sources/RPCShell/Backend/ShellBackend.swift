import RPCClient
import RPCDeployment
import RPCProcedures
import RPCSystem
import RPCWire

/// What the shell needs of a network. The real one is the client library's; tests put in a fake. Nothing here
/// prints, and nothing of the shell knows more of the network than this.
protocol ShellBackend: Sendable {
  var topology: Topology { get }
  /// Procedures as the file declares them, for when a server cannot be asked.
  var declared: [Procedure] { get }
  /// Who the calls come from, nil for nobody in particular.
  var identity: String? { get }

  func state(of server: String) -> ServerState
  /// Changes of the servers' states, from now on.
  func events() -> AsyncStream<ClientEvent>

  /// Starts a call; `completion` runs exactly once, on any thread. The handle cancels it, on the server too.
  func start(_ request: CallRequest, completion: @escaping @Sendable (Result<CallResult, RPCError>) -> Void)
    -> any CallCancellation

  func ping(_ server: String) async throws(RPCError) -> Duration
  /// Goes on with a changed network.
  func update(topology: Topology)
  func close()
}

/// A running call that can be given up.
protocol CallCancellation: Sendable {
  func cancel()
}

/// One call as the shell asks for it.
struct CallRequest: Hashable, Sendable {
  /// `service.rpc`.
  var procedure: String
  var arguments: [Value]
  /// The parameter types of the chosen overload, nil when nobody could choose.
  var types: [ValueType]?
  var server: String?
  var deadline: Duration?
  /// Whether it may be sent again where that is harmless.
  var retry: Bool = true
  var metadata: [String: Value] = [:]

  init(
    _ procedure: String, _ arguments: [Value] = [], types: [ValueType]? = nil, server: String? = nil,
    deadline: Duration? = nil, retry: Bool = true
  ) {
    self.procedure = procedure
    self.arguments = arguments
    self.types = types
    self.server = server
    self.deadline = deadline
    self.retry = retry
  }
}

extension CallResult {
  /// The answer as one value: what `_` stands for afterwards.
  var value: Value {
    switch values.count {
    case 0: .null
    case 1: values[0]
    default: .list(values)
    }
  }
}

extension ServerState {
  var isUp: Bool { if case .up = self { true } else { false } }
}

extension ShellBackend {
  /// Calls and waits. Cancelling the task cancels the call.
  func call(_ request: CallRequest) async throws(RPCError) -> CallResult {
    let running = RunningCall()
    let result: Result<CallResult, RPCError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        running.started(start(request) { continuation.resume(returning: $0) })
      }
    } onCancel: {
      running.cancel()
    }
    return try result.get()
  }

  /// How long a server takes to answer, or that it does not within `limit`.
  func ping(_ server: String, within limit: Duration) async throws(RPCError) -> Duration {
    // A ping cannot be cancelled: the answer that comes second is ignored.
    let first = FirstAnswer<Result<Duration, RPCError>?>()
    Task {
      do throws(RPCError) {
        first.answer(.success(try await ping(server)))
      } catch {
        first.answer(.failure(error))
      }
    }
    let clock = Task {
      try? await Task.sleep(for: limit)
      first.answer(nil)
    }
    let result = await first.value()
    clock.cancel()
    guard let result else {
      throw RPCError(.deadlineExceeded, "no answer within \(Quantity.duration(limit))")
    }
    return try result.get()
  }

  /// Calls a procedure of the service `system` of one server.
  func call<Request: SystemProcedure>(
    _ request: Request, on server: String, within limit: Duration = ShellLimits.systemCallDeadline
  ) async throws(RPCError) -> Request.Answer {
    let signature = Request.signature
    let result = try await call(
      CallRequest(
        signature.qualifiedName, request.arguments, types: signature.parameterTypes, server: server,
        deadline: limit))
    return try Request.answer(result.values)
  }

  /// The source of a procedure as it is deployed.
  func source(of procedure: Signature, on server: String) async throws(RPCError) -> String {
    try await call(
      ReadSource(
        service: procedure.service, procedure: procedure.name,
        types: procedure.parameterTypes.map(\.description)),
      on: server)
  }
}
