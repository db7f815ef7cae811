import RPCClient
import RPCWire
import TestSupport
import Testing

@Suite("What a caller can be told")
struct ExceptionTests {
  private func network() throws -> Network {
    let network = try Network(clients: ["c1"])
    try network.directory.write(
      """
      def repeat(text, times):
          return text * times

      def check(number):
          if number < 0:
              raise ValueError(f"{number} is below zero")
          return "str" if number else None
      """, to: "own.py")
    try network.describe(
      """
      service:
        - own: {providers: [s1], tenants: [me], rpcs: [repeat, check]}
        - closed: {providers: [s1], tenants: [c1], rpcs: [check]}
      rpc:
        own:
          - repeat: {args: [str, int], returns: [str], src: own.py}
          - check: {args: [int], returns: [str], src: own.py}
        closed:
          - check: {args: [int], returns: [str], src: own.py}
      """)
    try network.deploy()
    return network
  }

  private static let cases: [(call: String, arguments: String, type: String, fragments: [String])] = [
    ("onw.repeat", #"["a",1]"#, "ServiceNotFound", ["'onw'", "'own'"]),
    ("own.repaet", #"["a",1]"#, "RPCNotFound", ["'repaet'", "'repeat'"]),
    ("own.repeat", #"[1.5,"a"]"#, "InvalidArguments", ["repeat(str, int) -> str"]),
    ("own.repeat", #"["a"]"#, "InvalidArguments", ["repeat(str, int) -> str"]),
    ("closed.check", "[1]", "ClientNotRegistered", ["closed"]),
    // Who may call is decided before arguments are looked at.
    (
      "closed.check", #"["x",{"a":1,"a":2}]"#, "ClientNotRegistered",
      ["the client 'me' is not a tenant", "'closed'"]
    ),
    ("closed.chekc", "[1]", "RPCNotFound", ["'check'"]),
    ("own.repeat", "[]", "InvalidArguments", ["missing arguments 'str', 'int'; valid:"]),
    ("own.check", "[-5]", "ExecutionException", ["-5 is below zero"]),
    ("own.check", "[0]", "ExecutionException", ["declares", "str"]),
  ]

  @Test("each exception by its name, in the json dialect, and the connection goes on")
  func json() throws {
    let network = try network()
    let caller = try network.lines()
    for (call, arguments, type, fragments) in Self.cases {
      let answer = try caller.call(call, arguments)
      #expect(answer.exceptionType == type, "\(call): \(answer)")
      for fragment in fragments {
        #expect(answer.exceptionMessage?.contains(fragment) == true, "\(call): \(answer)")
      }
      // A server's directories are nobody's business.
      #expect(!answer.description.contains(network.directory.path))
      #expect(try caller.call("own.repeat", #"["ab",2]"#) == .values(["abab"]))
    }
    let returns = try caller.call("own.repeat", #"["a",1]"#, more: #","return-types":["int"]"#)
    #expect(returns.exceptionType == "InvalidArguments")
    #expect(returns.exceptionMessage?.contains("repeat(str, int) -> str") == true, "\(returns)")
  }

  @Test("an exception of a procedure names its source line")
  func sourceLine() throws {
    let network = try network()
    let caller = try network.lines()
    try caller.send(line: LineClient.request("own.check", "[-5]"))
    let line = try #require(try caller.receiveLine())
    #expect(line.contains("own.py:6"), "\(line)")
  }

  @Test("the same exceptions through the client library")
  func library() async throws {
    let network = try network()
    let client = network.client(service: "own")
    func exception(_ body: () async throws -> Void) async -> RPCError? {
      do {
        try await body()
        return nil
      } catch {
        return error as? RPCError
      }
    }
    let missing = await exception { try await client.call("own.repaet", "a", 1, on: "s1") }
    #expect(missing?.exception == .rpcNotFound)
    #expect(missing?.executed == .no)
    let wrong = await exception { let _: String = try await client.call("own.repeat", 1, 1, on: "s1") }
    #expect(wrong?.exception == .invalidArguments)
    let closed = await exception { let _: String = try await client.call("closed.check", 1, on: "s1") }
    #expect(closed?.exception == .clientNotRegistered)
    let raised = await exception { let _: String = try await client.call("own.check", -5, on: "s1") }
    #expect(raised?.exception == .executionException)
    #expect(raised?.message.contains("-5 is below zero") == true)
    #expect(raised?.executed == .yes)
    let unknown = await exception { let _: String = try await client.call("onw.repeat", "a", 1, on: "s1") }
    #expect(unknown?.exception == .serviceNotFound)
    let text: String = try await client.call("own.repeat", "ab", 2)
    #expect(text == "abab")
    await client.close()
  }

  @Test("the same exceptions in the shell, which ends with 1 and goes on after each")
  func shell() throws {
    let network = try network()
    let outcome = try network.shell(
      "call s1 onw.repeat a 1", "call s1 own.repaet a 1", "call s1 own.repeat 1.5 a",
      "call s1 closed.check 1",
      "call s1 own.check -5", "call s1 own.repeat ab 2")
    #expect(outcome.ending == .code(1), "\(outcome)")
    #expect(outcome.lines.last?.contains("abab") == true, "\(outcome)")
    for name in [
      "ServiceNotFound", "RPCNotFound", "InvalidArguments", "ClientNotRegistered", "ExecutionException",
    ] {
      #expect(outcome.errors.contains(name), "\(name) in \(outcome)")
    }
    #expect(outcome.errors.contains("-5 is below zero"))
  }
}
