package import RPCKeys
public import RPCNetwork
internal import RPCSystem
internal import RPCTransport
public import RPCWire

/// Calls procedures on the servers of a network. It connects with the first call, shares one connection per
/// server among all callers, and may be used from any thread and task.
///
/// ```swift
/// let client = RPCClient(topology: topology)
/// let sum: Int = try await client.call("math.add", 1, 2)
/// ```
public final class RPCClient: Sendable {
  @usableFromInline internal let engine: ClientEngine
  @usableFromInline internal let blocking: BlockingClient
  /// Takes over what the source of the topology says; nil where the topology is a given one.
  private let following = Lock<Task<Void, Never>?>(nil)

  /// - Parameters:
  ///   - topology: the servers of the network, and who provides what.
  ///   - identity: the name among the topology's clients that the program runs as; with a registered address its
  ///     connections come from there.
  ///   - options: limits, keys, how providers are chosen.
  public init(topology: Topology, identity: String? = nil, options: ClientOptions = ClientOptions()) {
    engine = ClientEngine(topology: topology, identity: identity, options: options)
    blocking = BlockingClient(topology: topology, identity: identity, options: options)
  }

  /// Starts with the topology that a source has, and goes on with each change of it: servers that are added are
  /// used, and those that are removed answer the calls they have. `events()` tells of changes, and of such that cannot
  /// be used.
  ///
  /// - Throws: where the source has no topology now.
  public convenience init(
    following source: any TopologySource, as identity: String? = nil,
    options: ClientOptions = ClientOptions()
  ) async throws(TopologyError) {
    var first: TopologyUpdate?
    for await update in source.topologies {
      first = update
      break
    }
    switch first {
    case .topology(let topology): self.init(topology: topology, identity: identity, options: options)
    case .refused(let reason): throw TopologyError(reason)
    case nil: throw TopologyError("the source of the topology has none")
    }
    follow(source)
  }

  private func follow(_ source: any TopologySource) {
    // What changed since the first one comes first; what is equal is left out.
    let task = Task { [weak self] in
      for await update in source.topologies {
        guard let client = self else { return }
        switch update {
        case .topology(let topology): if topology != client.topology { client.updateTopology(topology) }
        case .refused(let reason): client.engine.publish(.topologyRefused(reason: reason))
        }
      }
    }
    following.withLock { $0 = task }
  }

  private func stopFollowing() {
    following.withLock { $0.take() }?.cancel()
  }

  deinit {
    stopFollowing()
    engine.close()
    blocking.close()
  }

  public var topology: Topology { engine.topology }
  public var identity: String? { engine.identity }

  // MARK: Servers

  /// How long `server` takes to answer, connecting first where need be.
  public func ping(_ server: String) async throws(RPCError) -> Duration {
    let result: Result<Duration, RPCError> = await withUnsafeContinuation { continuation in
      do throws(RPCError) {
        try engine.onRunningLoop { core in
          core.ping(server) { continuation.resume(returning: $0) }
        }
      } catch {
        continuation.resume(returning: .failure(error))
      }
    }
    return try result.get()
  }

  /// How the client stands with a server right now; costs no I/O.
  public func state(of server: String) -> ServerState { engine.serverState(server) }

  /// What a server has proven to own, where this client asked: it does where it proves a key itself, or pins one.
  package func provenKey(of server: String) -> PublicKey? { engine.provenKey(of: server) }

  /// What happens to the connections from now on. Ends when the client is closed.
  public func events() -> AsyncStream<ClientEvent> { engine.events() }

  /// Takes a changed network into use: calls in flight end where they began.
  public func updateTopology(_ topology: Topology) {
    engine.updateTopology(topology)
    blocking.updateTopology(topology)
    engine.publish(.topology(topology))
  }

  /// Opens a connection to every server, without waiting for any.
  public func connectAll() {
    // A loop that cannot start is told by the first call.
    try? engine.onRunningLoop { $0.connectAll() }
  }

  // MARK: Ending

  /// Ends the connections; calls in flight fail. Returns when the client's thread has ended.
  public func close() async {
    stopFollowing()
    blocking.close()
    guard let thread = engine.close() else { return }
    await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
      do {
        // Waiting for a thread must not hold one of the tasks' threads.
        try LoopThread.spawn(name: "rpc-close") {
          thread.join()
          continuation.resume()
        }
      } catch {
        continuation.resume()
      }
    }
  }

  /// As `close()`, for callers that are not tasks. Never from a callback.
  public func closeBlocking() {
    stopFollowing()
    blocking.close()
    engine.close()?.join()
  }
}
