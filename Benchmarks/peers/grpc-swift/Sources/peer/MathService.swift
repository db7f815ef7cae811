import GRPCCore

/// Adds, and echoes.
struct MathService: RegistrableRPCService {
  func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
    register(Method.add, with: &router) { request in
      let (a, b) = request.readPair()
      return .sum(a &+ b)
    }
    register(Method.echo, with: &router) { $0 }
  }

  private func register<Transport: ServerTransport>(
    _ method: MethodDescriptor, with router: inout RPCRouter<Transport>,
    _ answer: @escaping @Sendable (Message) -> Message
  ) {
    router.registerHandler(
      forMethod: method, deserializer: Deserializer(), serializer: Serializer(),
      handler: { request, _ in
        let single = try await ServerRequest(stream: request)
        return StreamingServerResponse(single: ServerResponse(message: answer(single.message)))
      })
  }
}
