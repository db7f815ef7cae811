import RPCClient
import RPCServer
import RPCSystem
import RPCTransport
import RPCWire
import Testing

@Suite("Against the real server")
struct RealServerTests {
  /// A server with closures of every shape.
  static func server(named name: String, drainMilliseconds: Int = 5_000) throws -> Server {
    var options = ServerOptions()
    options.loops = 1
    options.drainTimeoutMilliseconds = drainMilliseconds
    let server = try Server(
      host: "127.0.0.1", port: 0,
      procedures: [
        NativeProcedure("math.add", idempotent: true) { (a: Int, b: Int) -> Int in a &+ b },
        NativeProcedure("math.divide") { (a: Int, b: Int) throws -> (Int, Int) in
          guard b != 0 else { throw DivisionByZero() }
          return (a / b, a % b)
        },
        NativeProcedure("math.same") { (value: Value) -> Value in value },
        NativeProcedure("math.who") { () -> String in name },
        NativeProcedure(suspending: "math.wait") { () async throws -> String in
          try await Task.sleep(for: .seconds(60))
          return "slept"
        },
      ], options: options)
    try server.start()
    return server
  }

  struct DivisionByZero: Error, CustomStringConvertible {
    var description: String { "division by zero" }
  }

  static func client(_ servers: Server...) -> RPCClient {
    LifecycleTests.client(ports: servers.map { UInt16($0.port) })
  }

  @Test("typed calls of all three kinds: async, blocking, callback")
  func typed() async throws {
    let server = try Self.server(named: "a")
    defer { server.stopNow() }
    let client = Self.client(server)
    let sum: Int = try await client.call("math.add", 40, 2)
    #expect(sum == 42)
    let (quotient, rest): (Int, Int) = try await client.call("math.divide", 7, 2)
    #expect((quotient, rest) == (3, 1))
    let blocking = try await BlockingTests.onThread { () throws(RPCError) -> Int in
      let (quotient, rest): (Int, Int) = try client.callBlocking("math.divide", -7, 2)
      return try client.callBlocking("math.add", quotient, rest)
    }
    #expect(blocking == -4)
    let add = try client.procedure("math.add", taking: Int.self, Int.self, returning: Int.self)
    let called: Int = try await withCheckedThrowingContinuation { continuation in
      client.start(add, Int.max, 1) { (result: Result<Int, RPCError>) in continuation.resume(with: result) }
    }
    #expect(called == .min)
    await client.close()
  }

  @Test("a caller that hears that a server is away finds its state so")
  func awayWhenTold() async throws {
    for _ in 0..<50 {
      let server = try Self.server(named: "a")
      let client = Self.client(server)
      let events = client.events()
      let _: Int = try await client.call("math.add", 1, 2)
      async let state = events.first { if case .disconnected = $0 { true } else { false } }.map { _ in
        client.state(of: "s1")
      }
      server.stopNow()
      if case .up = await state { Issue.record("it is up, though its loss was told") }
      await client.close()
    }
  }

  static let values: [Value] = [
    .null, true, .int(.max), .int(.min), -0.0, .float(.infinity), .float(.leastNonzeroMagnitude), "",
    "héllo 🌍 \0 \u{10ffff}", .bytes([]), .bytes([0, 255]), [], [1, "two", [nil, [:]]], ["a": ["b": 1.5]],
    .string(String(repeating: "x", count: 1_000_000)),
  ]

  @Test("values come back exactly as they went, in one call after the other and all at once")
  func exact() async throws {
    let server = try Self.server(named: "a")
    defer { server.stopNow() }
    let client = Self.client(server)
    for value in Self.values {
      let back: Value = try await client.call("math.same", value)
      #expect(back == value)
      let blocking = try await BlockingTests.onThread { () throws(RPCError) in
        try client.invokeBlocking("math.same", [value], types: [.any]).values
      }
      #expect(blocking == [value])
    }
    try await withThrowingTaskGroup { group in
      for number in 0..<500 {
        group.addTask {
          let value = Self.values[number % Self.values.count]
          let back: Value = try await client.call("math.same", value)
          #expect(back == value)
        }
      }
      try await group.waitForAll()
    }
    await client.close()
  }

  @Test("each of the exceptions says what would be right, and whether anything was executed")
  func exceptions() async throws {
    let server = try Self.server(named: "a")
    defer { server.stopNow() }
    let client = Self.client(server)
    let wrongName = await LifecycleTests.error { () throws(RPCError) in
      try await client.invoke("math.ad", [1, 2])
    }
    #expect(wrongName?.exception == .rpcNotFound)
    #expect(wrongName?.message.contains("did you mean 'add'") == true)
    let wrongTypes = await LifecycleTests.error { () throws(RPCError) in
      try await client.invoke("math.add", ["1", 2])
    }
    #expect(wrongTypes?.exception == .invalidArguments)
    #expect(wrongTypes?.message.contains("math.add(int, int) -> int") == true)
    let wrongResult = await BlockingTests.error { () throws(RPCError) in
      let text: String = try client.callBlocking("math.add", 1, 2, on: "s1")
      return CallResult(values: [.string(text)], server: "", elapsed: .zero, attempts: 1)
    }
    #expect(wrongResult?.exception == .invalidArguments)
    #expect(wrongResult?.executed == .no)
    let raised = await LifecycleTests.error { () throws(RPCError) in
      try await client.invoke("math.divide", [1, 0])
    }
    #expect(raised?.exception == .executionException)
    #expect(raised?.message == "division by zero")
    #expect(raised?.executed == .yes)
    let late = await LifecycleTests.error { () throws(RPCError) in
      try await client.invoke("math.wait", [], options: .deadline(.milliseconds(50)))
    }
    #expect(late?.exception == .deadlineExceeded)
    await client.close()
  }

  @Test("a server that stops hands its callers over to another one; none of them sees an error")
  func draining() async throws {
    let first = try Self.server(named: "a")
    let second = try Self.server(named: "b")
    defer { second.stopNow() }
    let client = Self.client(first, second)
    final class Progress: Sendable {
      let answers = Lock<Set<String>>([])
      let isStopped = Lock(false)
    }
    let progress = Progress()
    let bothAnswered = AsyncStream.makeStream(of: Void.self)
    let blocked = try await withThrowingTaskGroup(of: Int.self) { group in
      for lane in 0..<8 {
        group.addTask {
          var after = 0
          // Every lane goes on for a while after the server has stopped.
          while after < 50 {
            let who: String =
              lane < 6
              ? try await client.call("math.who")
              : try await BlockingTests.onThread { () throws(RPCError) in try client.callBlocking("math.who")
              }
            let seen = progress.answers.withLock { answers in
              answers.insert(who)
              return answers.count
            }
            if seen == 2 { bothAnswered.continuation.yield() }
            if progress.isStopped.withLock({ $0 }) { after += 1 }
          }
          return after
        }
      }
      for await _ in bothAnswered.stream { break }
      await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
        try? LoopThread.spawn(name: "stop") {
          first.stop()
          continuation.resume()
        }
      }
      progress.isStopped.withLock { $0 = true }
      var calls = 0
      for try await count in group { calls += count }
      return calls
    }
    #expect(blocked == 400)
    #expect(try await client.call("math.who") as String == "b")
    await client.close()
  }
}
