internal import CLinux
internal import Glibc
internal import RPCDeployment
internal import RPCKeys
internal import RPCProcedures
internal import RPCSystem
internal import RPCTLS
internal import RPCTransport
internal import Synchronization

/// A server as a program of its own: runs until it is told to stop, by signals.
///
/// SIGTERM and SIGINT drain; a second one ends at once. SIGHUP opens the log file again and reads the
/// certificates and the deployers' keys again. Where systemd started it, it tells that how it is.
package enum ServerProgram {
  /// How the program ended, for scripts.
  package enum ExitCode {
    /// Stopped as told, everything in flight answered or the drain timeout over.
    package static let ok: Int32 = 0
    /// The address cannot be served: in use, not of this machine, not allowed.
    package static let cannotListen: Int32 = 1
    /// The arguments are wrong.
    package static let usage: Int32 = 2
    /// The data directory, the log file, the server's own key or the deployers' keys cannot be used.
    package static let cannotStore: Int32 = 3
  }

  /// Serves `host` and `port` until a signal ends it; returns the exit code. Call it from the main thread
  /// before any other thread is started, so that all of them leave the signals to it.
  ///
  /// - Parameter reload: called at SIGHUP: what the settings have become.
  package static func run(
    host: String, port: Int, options: ServerOptions, reload: @escaping () -> ServerReload = { .unchanged }
  ) -> Int32 {
    SignalWatcher.block([SIGTERM, SIGINT, SIGHUP])
    signal(SIGPIPE, SIG_IGN)
    let service = ManagedService.take()
    SystemMemory.returnLargeBlocks()
    // No process of the same user reads its memory, its environment or its descriptors.
    rpc_set_undumpable()
    raiseDescriptorLimit()
    let server: Server
    do {
      server = try Server(host: host, port: port, options: options)
      try service.start(server)
    } catch {
      let (message, code) = describe(error, options)
      service.failed(message)
      return fail(message, code)
    }
    print("rpc-server \(Server.version) listening on \(server.localAddress), process \(getpid())")
    for pin in server.certificatePins { print("certificate \(pin)") }
    fflush(nil)
    do {
      try waitForSignals(server, service, reload: reload)
    } catch {
      server.stopNow()
      return fail("\(error)", ExitCode.cannotListen)
    }
    return ExitCode.ok
  }

  /// What kept a server from starting, for people and for scripts.
  private static func describe(_ error: any Error, _ options: ServerOptions) -> (String, Int32) {
    switch error {
    case let error as DeploymentError:
      let directory = options.dataDirectory.map { " '\($0)'" } ?? ""
      return ("cannot use the data directory\(directory): \(error)", ExitCode.cannotStore)
    case let error as KeyError: return ("\(error)", ExitCode.cannotStore)
    case let error as SecretStoreError: return ("\(error)", ExitCode.cannotStore)
    case let error as SystemError: return (explain(error), exitCode(for: error))
    default: return ("\(error)", ExitCode.cannotListen)
    }
  }

  /// Prints what clients pin of the certificate that a server at this address would show, which is made where it has
  /// none yet; returns the exit code.
  package static func printPins(host: String, port: Int, options: ServerOptions) -> Int32 {
    do {
      guard let address = try SocketAddress.resolve(host: host, port: port).first else {
        return fail("'\(host)' has no address", ExitCode.cannotListen)
      }
      let files = TLSFiles(options: options.tls, dataDirectory: options.dataDirectory, address: address)
      StandardStreams.write(try files.identities().map { "\($0.pin)\n" }.joined(), to: 1)
      return StandardStreams.exitCode(ExitCode.ok, of: "rpc-server")
    } catch {
      return fail("\(error)", ExitCode.cannotStore)
    }
  }

  static func exitCode(for error: SystemError) -> Int32 {
    error.operation.kind == .openFile ? ExitCode.cannotStore : ExitCode.cannotListen
  }

  private static func waitForSignals(
    _ server: Server, _ service: ManagedService, reload: @escaping () -> ServerReload
  ) throws(SystemError) {
    let loop = try EventLoop()
    var stops = 0
    let watcher = try SignalWatcher([SIGTERM, SIGINT, SIGHUP], on: loop) { signal in
      if signal == SIGHUP { return service.reload(server) { server.reload(reload()) } }
      stops += 1
      if stops > 1 { return server.stopNow() }
      service.isStopping(server)
      server.beginStopping()
    }
    service.watch(server, on: loop)
    let mailbox = loop.mailbox
    try LoopThread.spawn(name: "rpc-wait") {
      server.waitUntilStopped()
      mailbox.post { $0.stop() }
    }
    loop.run()
    withExtendedLifetime(watcher) {}
  }

  /// Connections are descriptors: take as many as the system lets us have.
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  static func explain(_ error: SystemError) -> String {
    // The rest is about addresses.
    if error.operation.kind == .openFile { return "cannot \(error)" }
    return switch error.code {
    case EADDRINUSE: "cannot \(error.operation): another process listens on this address already"
    case EADDRNOTAVAIL: "cannot \(error.operation): this address does not belong to this machine"
    case EACCES: "cannot \(error.operation): not allowed (ports below 1024 need privileges)"
    default: "cannot \(error)"
    }
  }

  private static func fail(_ message: String, _ code: Int32) -> Int32 {
    let text = "rpc-server: \(message)\n"
    _ = Glibc.write(2, text, text.utf8.count)
    return code
  }
}
