internal import Glibc
internal import RPCKeys
public import RPCProcedures
internal import RPCSystem
public import RPCTransport
internal import RPCWire

/// An RPC server: listens on one address, serves the Swift closures it was given and the procedures that are
/// deployed to it, on as many loops as there are cores.
///
/// ```swift
/// let server = try Server(host: "127.0.0.1", port: 8181, procedures: [
///   NativeProcedure("math.add") { (a: Int, b: Int) in a + b }
/// ])
/// try server.start()
/// ```
public final class Server: Sendable {
  public static let version = Release.version

  internal let core: ServerCore
  private let threads: [LoopThread]
  private let state = Lock(State())
  private let address: SocketAddress
  /// Signalled when the server has stopped.
  private let stopped = Latch()

  private struct State {
    var isStarted = false
    var isStopping = false
    var listener: LoopConfined<Listener>?
    var boundAddress: SocketAddress?
    var listeningDescriptor: Int32?
  }

  /// - Parameters:
  ///   - host: an IPv4 or IPv6 address, or a name whose first address is taken.
  ///   - port: 0 asks for a free one, which `port` tells after `start`.
  ///   - procedures: the closures that it serves.
  ///   - options: limits, log, keys, and where deployed procedures are kept.
  /// - Throws: `SystemError` where the name does not resolve or no loop can be made.
  public convenience init(
    host: String, port: Int, procedures: [NativeProcedure] = [], options: ServerOptions = ServerOptions()
  ) throws {
    try self.init(
      host: host, port: port, procedures: procedures, options: options, log: try ServerLog(options.log))
  }

  internal init(
    host: String, port: Int, procedures: [NativeProcedure], options: ServerOptions, log: ServerLog
  ) throws {
    guard let address = try SocketAddress.resolve(host: host, port: port).first else {
      throw SystemError(code: EADDRNOTAVAIL, operation: "resolve '\(host)'")
    }
    self.address = address
    var options = options
    if options.loops <= 0 { options.loops = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
    let tls = ServerTLS(
      options.tls, dataDirectory: options.dataDirectory, address: address, dialects: options.dialects)
    if let filter = tls.filter { options.filters.append(filter) }
    let core = ServerCore(
      options: options, agent: Release.agent, natives: procedures, log: log, tls: tls)
    self.core = core
    core.setHost(host)
    let catalogue = core.activate(ActiveGeneration())
    let hosts = Lock<[ServerCore.LoopHandle]>([])
    var threads: [LoopThread] = []
    for index in 0..<options.loops {
      threads.append(
        try LoopThread(name: "rpc-loop-\(index)", clock: options.clock) { [options] loop in
          let host = ServerLoop(index: index, loop: loop, options: options, core: core, catalogue: catalogue)
          hosts.withLock {
            $0.append(
              ServerCore.LoopHandle(mailbox: loop.mailbox, host: LoopConfined(host, to: loop)))
          }
        })
    }
    self.threads = threads
    // Each loop's first turn comes after its set-up.
    for thread in threads {
      let ready = Latch()
      thread.mailbox.post { _ in ready.signal() }
      ready.wait()
    }
    core.setLoops(hosts.withLock { $0 })
  }

  /// The address that is listened on, with the port that was given or found.
  public var localAddress: SocketAddress { state.withLock { $0.boundAddress } ?? address }
  public var port: Int { localAddress.port }

  /// Whether a descriptor is a socket that listens where this server is to.
  internal func isOwnListener(_ descriptor: Int32) -> Bool { Socket.listens(descriptor, on: address) }
  /// The socket that it listens on, which is open until it is told to stop.
  internal var listeningDescriptor: Int32? { state.withLock { $0.isStopping ? nil : $0.listeningDescriptor } }

  /// Puts what is on disk in force, then listens. Returns once connections are accepted.
  ///
  /// - Throws: `DeploymentError` where the data directory cannot be used, `KeyError` where the keys in it or those
  ///   of the deployers cannot, `SystemError` where the address is in
  ///   use or not of this machine.
  public func start() throws { try start(inheriting: nil) }

  /// - Parameter inherited: a socket that listens on this server's address already; it is closed where this fails.
  internal func start(inheriting inherited: Int32?) throws {
    do {
      try restore()
    } catch {
      if let inherited { _ = Glibc.close(inherited) }
      throw error
    }
    let loops = core.loops
    let address = address
    let outcome = Lock<Result<(LoopConfined<Listener>, SocketAddress, Int32), SystemError>?>(nil)
    let done = Latch()
    let core = core
    loops[0].mailbox.post { loop in
      var next = 0
      do throws(SystemError) {
        let listener = try Listener(
          on: address, inherited: inherited.map { Descriptor($0) }, backlog: core.options.backlog,
          limits: core.options.connectionLimits, loop: loop
        ) { event in
          // Round robin over the loops: as even as it gets, whatever the addresses hash to.
          let handle = loops[next % loops.count]
          next += 1
          Self.hand(event, to: handle, core: core, from: loop)
        }
        try listener.start()
        outcome.withLock {
          $0 = .success((LoopConfined(listener, to: loop), listener.address, listener.descriptor))
        }
      } catch {
        outcome.withLock { $0 = .failure(error) }
      }
      done.signal()
    }
    done.wait()
    guard let result = outcome.withLock({ $0 }) else { preconditionFailure("the loop answers") }
    let (listener, bound, descriptor) = try result.get()
    state.withLock {
      $0.isStarted = true
      $0.listener = listener
      $0.listeningDescriptor = descriptor
      $0.boundAddress = bound
    }
  }

  /// Opens the data directory and puts what it holds in force before anybody can call.
  private func restore() throws {
    do {
      if try core.deployers.load() == 0, let file = core.options.deployersFile {
        core.log.warn("nobody may deploy: \(file) has no key, and 'initializer key' prints one for it")
      }
    } catch {
      throw KeyError("cannot use the deployers' keys: \(error)")
    }
    if let count = try loadSecrets() { core.log.note("secrets read: \(count)") }
    guard let directory = core.options.dataDirectory, core.deployments == nil else { return try loadTLS() }
    let service = try DeploymentService(directory: directory, core: core) { () throws(KeyError) in
      try takeKey(from: directory)
    }
    try loadTLS()
    core.setDeployments(service)
    let restored = Latch()
    service.restore { restored.signal() }
    restored.wait()
  }

  /// Takes this server's own key from its data directory, where it is made at the first start. Behind the directory's
  /// lock, and before anybody can ask who this is.
  private func takeKey(from directory: String) throws(KeyError) -> PrivateKey {
    do {
      core.setKey(try KeyFile.ownKey(at: "\(directory)/server-key", comment: "rpc-server"))
    } catch {
      throw KeyError(
        "cannot use the server's own key: \(error). Without the file a new key is made, which clients that pin the "
          + "old one in init.yaml refuse")
    }
    core.log.note("this server's key is \(core.key.publicKey)")
    return core.key
  }

  /// Files that are not used are told: those who name them are refused. How many there are, nil without a folder.
  internal func loadSecrets() throws(SecretStoreError) -> Int? {
    guard core.secrets.directory != nil else { return nil }
    let (count, refusals) = try core.secrets.load()
    for why in refusals { core.log.warn("a secret is not used: \(why)") }
    return count
  }

  private func loadTLS() throws(KeyError) {
    for pin in try core.tls.load() { core.log.note("this server's certificate is \(pin)") }
    core.certificatesChanged()
  }

  /// The keys of the certificates that the server shows, as clients pin them: `sha256//BASE64`; none without TLS.
  public var certificatePins: [String] { core.tls.pins.map(\.description) }

  private static func hand(
    _ event: consuming Listener.Outcome, to handle: ServerCore.LoopHandle, core: ServerCore,
    from loop: EventLoop
  ) {
    switch consume event {
    case .accepted(let descriptor, let peer):
      // A connection beyond the bound is closed at once: its peer sees the end, not a silence.
      guard core.admitConnection() else {
        countRefusal(core, loop)
        core.log.note("connection from \(peer) refused: \(core.connectionsMax) are open")
        return
      }
      let raw = descriptor.release()
      let posted = handle.mailbox.post { loop in
        handle.host.on(loop).adopt(Descriptor(raw), from: peer)
      }
      if !posted { _ = Glibc.close(raw) }
    case .refused(let error):
      countRefusal(core, loop)
      core.log.note("connection refused: \(error)")
    }
  }

  /// Counted where it happens: on the listener's loop, which is the first one.
  private static func countRefusal(_ core: ServerCore, _ loop: EventLoop) {
    core.loops[0].host.on(loop).metrics.value.connectionsRefused &+= 1
  }

  // MARK: The end

  /// Stops: no new connections, no new calls; those in flight may end within the drain timeout. Returns
  /// when the server has stopped.
  public func stop() {
    beginStopping()
    stopped.wait()
  }

  /// Returns when the server has stopped. The task holds no thread while it waits.
  public func untilStopped() async {
    await stopped.opened()
  }

  /// As `stop`, without waiting.
  public func beginStopping() {
    let first = state.withLock { state in
      defer { state.isStopping = true }
      return !state.isStopping
    }
    guard first else { return }
    let loops = core.loops
    // Given up, so that the socket closes: clients are refused at once instead of waiting in a backlog that
    // nobody looks at. Where a service manager keeps the socket they wait for the next process.
    if let listener = state.withLock({ $0.listener.take() }) {
      loops[0].mailbox.post { loop in listener.on(loop).stop() }
    }
    let countdown = Countdown(loops.count, ())
    for handle in loops {
      handle.mailbox.post { [self] loop in
        let host = handle.host.on(loop)
        host.drain { [self] in
          if countdown.finishOne({ _ in }) != nil { finishStopping() }
        }
        let deadline = DrainDeadline { [self] in finishStopping() }
        loop.schedule(
          after: UInt64(max(0, host.options.drainTimeoutMilliseconds)) * 1_000_000, deadline)
      }
    }
  }

  /// Ends at once whatever is in flight.
  public func stopNow() {
    state.withLock { $0.isStopping = true }
    finishStopping()
  }

  private func finishStopping() {
    let threads = threads
    let log = core.log
    for handle in core.loops {
      handle.mailbox.post { loop in
        handle.host.on(loop).shutDown()
        loop.stop()
      }
    }
    // Joined elsewhere: this may be a loop's thread.
    do {
      try LoopThread.spawn(name: "rpc-stop") { [stopped, core] in
        for thread in threads { thread.join() }
        core.deployments?.stop()
        log.close()
        stopped.signal()
      }
    } catch {
      stopped.signal()
    }
  }

  /// Waits until the server has stopped.
  public func waitUntilStopped() {
    // What the program has printed may be what somebody waits for at the other end of a pipe.
    fflush(nil)
    stopped.wait()
  }
}

/// Ends a drain that takes too long.
private final class DrainDeadline: TimerTarget {
  private let action: () -> Void
  init(_ action: @escaping () -> Void) { self.action = action }
  func timerFired(tag: UInt64, on loop: EventLoop) { action() }
}
