import RPCClient
import RPCServer
import RPCSystem
import RPCWire
import Testing

/// A client that follows a source of topologies, against real servers.
@Suite("A network that changes")
struct TopologySourceTests {
  /// A source whose topology the test sets.
  final class GivenSource: TopologySource {
    private let state: Lock<(update: TopologyUpdate, consumers: [AsyncStream<TopologyUpdate>.Continuation])>

    /// One for each consumer that has ended.
    let ends: AsyncStream<Void>
    private let end: AsyncStream<Void>.Continuation

    init(_ update: TopologyUpdate) {
      state = Lock((update, []))
      (ends, end) = AsyncStream.makeStream()
    }

    var topologies: AsyncStream<TopologyUpdate> {
      let (stream, consumer) = AsyncStream.makeStream(of: TopologyUpdate.self)
      consumer.onTermination = { [end] _ in end.yield() }
      state.withLock { state in
        consumer.yield(state.update)
        state.consumers.append(consumer)
      }
      return stream
    }

    func say(_ update: TopologyUpdate) {
      state.withLock { state in
        state.update = update
        for consumer in state.consumers { consumer.yield(update) }
      }
    }
  }

  /// A server whose calls of `math.hold` are answered when it is told to.
  struct HoldingServer {
    let server: Server
    let arrived: AsyncStream<Void>
    let release: AsyncStream<Void>.Continuation

    init(_ name: String) throws {
      let (arrived, arrival) = AsyncStream.makeStream(of: Void.self)
      let (released, release) = AsyncStream.makeStream(of: Void.self)
      (self.arrived, self.release) = (arrived, release)
      var options = ServerOptions()
      options.loops = 1
      server = try Server(
        host: "127.0.0.1", port: 0,
        procedures: [
          NativeProcedure("math.who") { () -> String in name },
          NativeProcedure(suspending: "math.hold") { () async throws -> String in
            arrival.yield()
            for await _ in released { break }
            return "held by \(name)"
          },
        ], options: options)
      try server.start()
    }

    func hasCall() async { for await _ in arrived { return } }
  }

  static func topology(_ servers: KeyValuePairs<String, HoldingServer>) -> Topology {
    Topology(
      servers: servers.map { .init(name: $0, host: "127.0.0.1", port: UInt16($1.server.port)) },
      services: [.init(name: "math", providers: servers.map(\.key), tenants: [])])
  }

  static func hold(_ client: RPCClient) -> Task<Result<[Value], RPCError>, Never> {
    Task {
      do throws(RPCError) {
        return .success(try await client.invoke("math.hold", []).values)
      } catch {
        return .failure(error)
      }
    }
  }

  @Test("servers that are added are called, and those that are removed answer the calls they have")
  func follows() async throws {
    let (a, b) = (try HoldingServer("a"), try HoldingServer("b"))
    defer {
      a.server.stopNow()
      b.server.stopNow()
    }
    let first = Self.topology(["s1": a])
    let source = GivenSource(.topology(first))
    let client = try await RPCClient(following: source)
    #expect(client.topology == first)
    var news = client.events().filter { event in
      switch event {
      case .topology, .topologyRefused, .disconnected: true
      default: false
      }
    }.makeAsyncIterator()
    let held = Self.hold(client)
    await a.hasCall()

    let both = Self.topology(["s1": a, "s2": b])
    source.say(.topology(both))
    #expect(await news.next() == .topology(both))
    #expect(try await client.call("math.who", on: "s2") as String == "b")

    let second = Self.topology(["s2": b])
    source.say(.topology(second))
    #expect(await news.next() == .topology(second))
    #expect(client.topology == second)
    for _ in 0..<10 { #expect(try await client.call("math.who") as String == "b") }
    let threaded = try await BlockingTests.onThread { () throws(RPCError) -> String in
      try client.callBlocking("math.who")
    }
    #expect(threaded == "b")
    let gone = await LifecycleTests.error { () throws(RPCError) in
      try await client.invoke("math.who", [], on: "s1")
    }
    #expect(gone?.message == "there is no server 's1'; there are: s2")

    // What is refused changes nothing, and the same again counts for nothing.
    source.say(.refused("the file is empty"))
    #expect(await news.next() == .topologyRefused(reason: "the file is empty"))
    #expect(client.topology == second)
    source.say(.topology(second))
    #expect(try await client.call("math.who") as String == "b")

    a.release.yield()
    #expect(await held.value == .success(["held by a"]))
    source.say(.topology(first))
    // The one with s1 is the next: nothing was told of the topology that was in use already.
    var told: ClientEvent?
    repeat { told = await news.next() } while told != nil && told != .topology(first)
    #expect(told == .topology(first))
    #expect(try await client.call("math.who") as String == "a")
    await client.close()
  }

  enum Change: CaseIterable { case removed, moved }

  @Test("closing the client ends the calls of servers that it uses no more", arguments: Change.allCases)
  func closed(change: Change) async throws {
    let (a, b) = (try HoldingServer("a"), try HoldingServer("b"))
    defer {
      a.server.stopNow()
      b.server.stopNow()
    }
    let client = RPCClient(topology: Self.topology(["s1": a]))
    let held = Self.hold(client)
    await a.hasCall()
    client.updateTopology(change == .moved ? Self.topology(["s1": b]) : Self.topology(["s2": b]))
    #expect(try await client.call("math.who") as String == "b")
    await client.close()
    guard case .failure(let error) = await held.value else {
      Issue.record("it was answered")
      return
    }
    #expect(error.exception == .cancelled)
    #expect(error.executed == .maybe)
  }

  enum Ending: CaseIterable { case closed, closedByThread, dropped }

  @Test("a client that has ended follows no more", arguments: Ending.allCases)
  func ended(ending: Ending) async throws {
    let source = GivenSource(.topology(Topology(servers: [])))
    var ends = source.ends.makeAsyncIterator()
    var client: RPCClient? = try await RPCClient(following: source)
    // It asked once to start.
    _ = await ends.next()
    switch ending {
    case .closed: await client?.close()
    case .closedByThread: client?.closeBlocking()
    case .dropped: client = nil
    }
    _ = await ends.next()
    #expect(client == nil || ending != .dropped)
  }

  @Test("a client does not start without a topology")
  func start() async throws {
    await #expect(throws: TopologyError("the file is missing")) {
      _ = try await RPCClient(following: GivenSource(.refused("the file is missing")))
    }
    struct EmptySource: TopologySource {
      var topologies: AsyncStream<TopologyUpdate> { AsyncStream { $0.finish() } }
    }
    await #expect(throws: TopologyError("the source of the topology has none")) {
      _ = try await RPCClient(following: EmptySource())
    }
    let given = try await RPCClient(following: Topology(servers: []))
    #expect(given.topology == Topology(servers: []))
    await given.close()
  }
}
