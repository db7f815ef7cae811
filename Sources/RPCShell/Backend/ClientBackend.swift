import RPCClient
import RPCKeys
import RPCProcedures
import RPCWire

/// The network as the client library has it.
struct ClientBackend: ShellBackend {
  let client: RPCClient
  let declared: [Procedure]

  /// - Parameter staysConnected: reconnects by itself and says so: for the prompt. A script connects when it calls.
  init(
    topology: Topology, declared: [Procedure], identity: String?, key: PrivateKey?,
    certificate: OwnCertificate?, staysConnected: Bool
  ) {
    var options = ClientOptions()
    options.agent = "rpc-client/\(Shell.version)"
    options.connectTimeout = .seconds(3)
    options.key = key
    options.certificate = certificate
    options.staysConnected = staysConnected
    client = RPCClient(topology: topology, identity: identity, options: options)
    self.declared = declared
    if staysConnected { client.connectAll() }
  }

  var topology: Topology { client.topology }
  var identity: String? { client.identity }

  func state(of server: String) -> ServerState { client.state(of: server) }
  func events() -> AsyncStream<ClientEvent> { client.events() }

  func start(
    _ request: CallRequest, completion: @escaping @Sendable (Result<CallResult, RPCError>) -> Void
  ) -> any CallCancellation {
    Handle(
      handle: client.start(
        request.procedure, request.arguments, types: request.types, on: request.server,
        options: CallOptions(
          deadline: request.deadline, retry: request.retry ? .standard : .none, metadata: request.metadata),
        completion: completion))
  }

  func ping(_ server: String) async throws(RPCError) -> Duration { try await client.ping(server) }

  func update(topology: Topology) { client.updateTopology(topology) }

  func close() { client.closeBlocking() }

  private struct Handle: CallCancellation {
    let handle: CallHandle
    func cancel() { handle.cancel() }
  }
}
