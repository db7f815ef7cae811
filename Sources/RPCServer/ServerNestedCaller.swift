internal import RPCClient
internal import RPCDeployment
internal import RPCNetwork
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// How procedures call others: the server's own client on the loop they run on. It proves the server's own key, and says
/// with each call which service makes it.
internal final class ServerNestedCaller: NestedCaller {
  private unowned let host: ServerLoop
  private var client: ClientCore?

  init(host: ServerLoop) {
    self.host = host
  }

  func call(
    _ procedure: String, _ arguments: [Value], on server: String?, from service: String, deadline: UInt64?,
    depth: Int, metadata: [String: Value], completion: @escaping (Result<[Value], RPCError>) -> Void
  ) -> () -> Void {
    do throws(RPCError) {
      try CallFrame.checkDepth(depth, of: procedure)
      try Self.checkSystem(procedure)
    } catch {
      host.loop.atEndOfTurn { completion(.failure(error)) }
      return {}
    }
    let client = connected()
    var options = CallOptions()
    options.metadata = metadata.merging(CallFrame.Nesting(depth: depth, service: service).metadata) { $1 }
    let call = client.call(procedure, arguments, on: server, deadline: deadline, options: options) { result in
      completion(result.map(\.values))
    }
    return { client.cancel(call) }
  }

  /// Procedures are less trusted than their server: they do not act for it on any server, this one included.
  private static func checkSystem(_ procedure: String) throws(RPCError) {
    let parts = procedure.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, String(parts[0]).hasSameUTF8(as: SystemContract.service) else { return }
    if let error = SystemContract.refusal(toProcedures: String(parts[1])) { throw error }
  }

  private func connected() -> ClientCore {
    if let client { return client }
    var options = ClientOptions()
    options.key = host.core.key
    let made = ClientCore(loop: host.loop, topology: host.core.topology, options: options)
    client = made
    return made
  }

  /// A new generation may name other servers.
  func update(_ topology: Topology) {
    client?.updateTopology(topology)
  }

  func close() {
    client?.close()
    client = nil
  }
}
