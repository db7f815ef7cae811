internal import RPCClient
internal import RPCNetwork
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// How procedures call others: the server's own client on the loop they run on.
internal final class ServerNestedCaller: NestedCaller {
  private unowned let host: ServerLoop
  private var client: ClientCore?

  init(host: ServerLoop) {
    self.host = host
  }

  func call(
    _ procedure: String, _ arguments: [Value], on server: String?, deadline: UInt64?, depth: Int,
    completion: @escaping (Result<[Value], RPCError>) -> Void
  ) -> () -> Void {
    do throws(RPCError) {
      try CallFrame.checkDepth(depth, of: procedure)
    } catch {
      host.loop.atEndOfTurn { completion(.failure(error)) }
      return {}
    }
    let client = connected()
    var options = CallOptions()
    options.metadata = [CallFrame.depthKey: .int(Int64(depth))]
    let call = client.call(procedure, arguments, on: server, deadline: deadline, options: options) { result in
      completion(result.map(\.values))
    }
    return { client.cancel(call) }
  }

  private func connected() -> ClientCore {
    if let client { return client }
    var options = ClientOptions()
    options.key = host.options.key
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
