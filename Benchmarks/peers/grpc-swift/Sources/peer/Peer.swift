import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc

/// `peer server` answers; `peer client --port N …` loads it.
@main
enum Peer {
  static func main() async throws {
    if CommandLine.arguments.dropFirst().first == "server" {
      try await serve()
    } else {
      try await load(Options(Array(CommandLine.arguments.dropFirst(2))))
    }
  }

  private static func serve() async throws {
    let server = GRPCServer(
      transport: .http2NIOPosix(
        address: .ipv4(host: "127.0.0.1", port: 0), transportSecurity: .plaintext),
      services: [MathService()])
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask { try await server.serve() }
      if let address = try await server.listeningAddress?.ipv4 {
        print("listening on 127.0.0.1:\(address.port)")
        fflush(nil)
      }
    }
  }

  private static func load(_ options: Options) async throws {
    let measurement = Measurement(options)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<options.connections {
        group.addTask { try await connection(options, measurement) }
      }
      try await group.waitForAll()
    }
    print(measurement.report())
  }

  private static func connection(_ options: Options, _ measurement: Measurement) async throws {
    try await withGRPCClient(
      transport: .http2NIOPosix(
        target: .ipv4(address: "127.0.0.1", port: options.port), transportSecurity: .plaintext)
    ) { client in
      let request: Message = options.echo ? .blob(options.payload) : .pair(1, 2)
      let method = options.echo ? Method.echo : Method.add
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<options.outstanding {
          group.addTask {
            var sent: UInt64
            repeat {
              sent = Measurement.now()
              try await client.unary(
                request: ClientRequest(message: request), descriptor: method, serializer: Serializer(),
                deserializer: Deserializer(), options: .defaults
              ) { response in _ = try response.message }
            } while measurement.answered(sent)
          }
        }
        try await group.waitForAll()
      }
    }
  }
}
