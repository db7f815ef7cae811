import Foundation
import RPCClient
import RPCWire
import Testing

@Suite("A server that is stopped in its tracks")
struct FrozenServerTests {
  @Test("SIGSTOP of one of two under load costs the calls that it has, and it is called again after SIGCONT")
  func stopped() async throws {
    let network = try Network(["s1", "s2"])
    var options = ClientOptions()
    options.keepalive = .milliseconds(300)
    options.connectTimeout = .milliseconds(500)
    options.reconnect = Backoff(initial: .milliseconds(20), maximum: .milliseconds(100))
    let servers = try ["s1", "s2"].map {
      Topology.Server(name: $0, host: "127.0.0.1", port: UInt16(try network.port($0)))
    }
    let client = RPCClient(topology: Topology(servers: servers), options: options)
    let once = CallOptions(deadline: nil, retry: .none)
    var seen: Set<String> = []
    while seen.count < 2 { seen.insert(try await client.invoke("system.ping", [], options: once).server) }
    try network.server("s1").signal(SIGSTOP)
    let workers = 16
    let errors = await withTaskGroup(of: [RPCError].self) { group in
      for _ in 0..<workers {
        group.addTask {
          var errors: [RPCError] = []
          for _ in 0..<500 {
            do throws(RPCError) {
              _ = try await client.invoke("system.ping", [], options: once)
            } catch {
              errors.append(error)
            }
          }
          return errors
        }
      }
      return await group.reduce(into: []) { $0 += $1 }
    }
    #expect(errors.count <= workers)
    for error in errors {
      #expect(error.executed == .maybe)
      #expect(error.message.hasSuffix("has stopped answering: no PONG within 300 ms"))
    }
    try network.server("s1").signal(SIGCONT)
    while try await client.invoke("system.ping", []).server != "s1" {}
    await client.close()
  }
}
