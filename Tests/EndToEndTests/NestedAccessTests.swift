import Foundation
import RPCClient
import RPCWire
import TestSupport
import Testing

@Suite("What procedures may call")
struct NestedAccessTests {
  /// `open` on both servers is for everybody here, and its procedures call what they are told to; `secret` and `vault` are
  /// on s2.
  private static func network(secret: String = "[]", vault: String = "[]") throws -> Network {
    let network = try Network(["s1", "s2"])
    try network.directory.write(
      """
      function relay(server, name) return rpc.call(server, name) end
      function deploy(server)
        rpc.call(server, "system.deploy_begin", "tx", "me", "", true, "")
        return 1
      end
      function one() return 1 end
      """, to: "test.lua")
    try network.directory.write(
      """
      import rpc
      def ask(server, name):
          return rpc.call(server, name)
      """, to: "test.py")
    try describe(network, secret: secret, vault: vault)
    try network.deploy()
    return network
  }

  private static func describe(_ network: Network, secret: String, vault: String) throws {
    try network.describe(
      """
      service:
        - open: {providers: [s1, s2], tenants: [me], rpcs: [relay, ask, deploy]}
        - other: {providers: [s1], tenants: [me], rpcs: [ask]}
        - secret: {providers: [s2], tenants: \(secret), rpcs: [one]}
        - vault: {providers: [s1, s2], tenants: \(vault), rpcs: [one, relay]}
      rpc:
        open:
          - relay: {args: [server: str, name: str], returns: [int], src: test.lua}
          - ask: {args: [server: str, name: str], returns: [Any], src: test.py}
          - deploy: {args: [server: str], returns: [int], src: test.lua}
        other:
          - ask: {args: [server: str, name: str], returns: [Any], src: test.py}
        secret:
          - one: {args: [], returns: [int], src: test.lua}
        vault:
          - one: {args: [], returns: [int], src: test.lua}
          - relay: {args: [server: str, name: str], returns: [int], src: test.lua}
      """)
  }

  @Test("of system they reach ping and catalogue, on no server anything else", arguments: ["s1", "s2"])
  func system(server: String) throws {
    let network = try Self.network()
    let caller = try network.lines("s1")
    let begin = try caller.call("open.deploy", #"["\#(server)"]"#)
    #expect(
      begin.exceptionMessage?.contains("procedures may not call system.deploy_begin") == true, "\(begin)")
    for name in [
      "stats", "source", "deploy_status", "deploy_begin", "deploy_put", "deploy_prepare", "deploy_commit",
      "deploy_abort", "deploy_unlock", "topology", "nothing",
    ] {
      for procedure in ["open.relay", "open.ask"] {
        let answer = try caller.call(procedure, #"["\#(server)", "system.\#(name)"]"#)
        #expect(
          answer.exceptionMessage?.contains("procedures may not call system.\(name)") == true,
          "\(procedure): \(answer)")
      }
    }
    #expect(try caller.call("open.ask", #"["\#(server)", "system.ping"]"#) == .values(["pong"]))
    #expect(try caller.call("open.ask", #"["\#(server)", "system.catalogue"]"#).exceptionType == nil)
  }

  @Test("the address of their server is no tenancy, and the refusal says what would be one")
  func address() throws {
    // `me` is anybody on this machine.
    let network = try Self.network(secret: "[me]", vault: "[me]")
    for server in ["s1", "s2"] {
      let caller = try network.lines(server)
      for name in ["secret.one", "vault.one"] {
        let service = name.dropLast(4)
        let answer = try caller.call("open.ask", #"["s2", "\#(name)"]"#)
        #expect(
          answer.exceptionMessage?.contains(
            "the service 'open' on the server '\(server)' is not a tenant of the service '\(service)': add "
              + "'service open' to the tenants of '\(service)' in init.yaml, or '\(server)' for every service there"
          )
            == true, "\(answer)")
      }
      #expect(try network.lines("s2").call("secret.one") == .values([1]))
    }
  }

  @Test("a service is a tenant on the servers that provide it, a server for each service there")
  func tenancies() throws {
    let network = try Self.network(secret: "['service open']", vault: "[s1]")
    let (s1, s2) = (try network.lines("s1"), try network.lines("s2"))
    #expect(try s1.call("open.ask", #"["s2", "secret.one"]"#) == .values([1]))
    #expect(try s1.call("open.relay", #"["s2", "secret.one"]"#) == .values([1]))
    #expect(try s2.call("open.relay", #"["s2", "secret.one"]"#) == .values([1]))
    let other = try s1.call("other.ask", #"["s2", "secret.one"]"#)
    #expect(
      other.exceptionMessage?.contains("add 'service other' to the tenants of 'secret'") == true, "\(other)")
    for procedure in ["open.ask", "other.ask"] {
      #expect(try s1.call(procedure, #"["s2", "vault.one"]"#) == .values([1]))
    }
    #expect(try s2.call("open.ask", #"["s2", "vault.one"]"#).exceptionType == "ExecutionException")
    // The tenancies of procedures are no client's.
    #expect(try s1.call("vault.one").exceptionType == "ClientNotRegistered")
    #expect(try s2.call("secret.one").exceptionType == "ClientNotRegistered")
    // Within a service nothing needs a tenancy, and taking one away counts at once.
    try Self.describe(network, secret: "[]", vault: "['service open']")
    try network.deploy()
    #expect(try s1.call("open.ask", #"["s2", "secret.one"]"#).exceptionType == "ExecutionException")
    #expect(try s1.call("open.ask", #"["s2", "open.ask"]"#).exceptionMessage?.contains("valid:") == true)
  }

  @Test("what a client says of a service that calls counts for nothing")
  func claimed() async throws {
    let network = try Self.network(secret: "['service open', s1]")
    var options = CallOptions()
    options.metadata = CallFrame.Nesting(depth: 1, service: "open").metadata
    for key in [
      nil,
      try PrivateKey(
        parsing: String(contentsOfFile: "\(ConfigHome.path)/simplerpc/deploy-key", encoding: .utf8)),
    ] {
      var clientOptions = ClientOptions()
      clientOptions.key = key
      let client = network.client(service: "secret", options: clientOptions)
      for procedure in ["secret.one", "open.ask"] {
        let error = await #expect(throws: RPCError.self) {
          _ = try await client.invoke(
            procedure, procedure == "open.ask" ? ["s1", "system.ping"] : [], on: "s2", options: options)
        }
        #expect(error?.exception == .clientNotRegistered, "\(String(describing: error))")
      }
      await client.close()
    }
  }

  @Test("a server that one deployment leaves out stays known to the others by its key")
  func leftOut() throws {
    let network = try Self.network(secret: "[s1]")
    try Self.describe(network, secret: "[s1, s2]", vault: "[]")
    let outcome = try network.initialize(["--server", "s2"])
    #expect(outcome.ending == .code(0), "\(outcome)")
    #expect(try network.lines("s1").call("open.ask", #"["s2", "secret.one"]"#) == .values([1]))
    #expect(try network.initialize().ending == .code(0))
    #expect(try network.initialize().output.contains("up to date"))
  }
}
