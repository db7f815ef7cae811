import CLinux
import Glibc
import RPCClient
import RPCDeployment
import RPCKeys
import RPCSystem
import RPCWire

/// The `rpc>` shell as a library: what the program `rpc-client` runs.
package enum Shell {
  /// Told to servers and by `--version`.
  package static let version = Release.version

  /// What the program was asked for.
  package struct Options: Sendable {
    package enum Color: String, Sendable, CaseIterable { case auto, always, never }

    /// The file that names servers, clients and services.
    package var config = InitFile.defaultPath
    /// The client to call as; nil for the one whose key is used, or nobody in particular.
    package var identity: String?
    /// The file of the private key to prove, nil for the one that RPC_KEY names, else the user's deploy key.
    package var key: String?
    /// The files of the certificate to show inside TLS, and of its private key.
    package var certificate: (certificate: String, key: String)?
    package enum Step: Hashable, Sendable {
      case command(String)
      /// A file of commands, `-` for standard input.
      case script(String)
    }

    /// What to run, in this order, instead of what standard input has.
    package var steps: [Step] = []
    package var stopsAtFailure = false
    /// No banner and no notes.
    package var isQuiet = false
    package var readsStartupFile = true
    /// How long a call may take, as `call -t` takes it (`5`, `500ms`, `2m`); nil for the default.
    package var timeout: String?
    /// `auto`, `table`, `json` or `raw`.
    package var output: String?
    package var color = Color.auto
    /// Goes with every call: `key:value`.
    package var metadata: [String] = []

    package init() {}
  }

  /// The exit codes beside 64 + the status of a single call.
  enum Exit {
    static let done: Int32 = 0
    static let failed: Int32 = 1
    static let usage: Int32 = 2
    static let stopped: Int32 = 3
    static let interrupted: Int32 = 130
    static let callBase: Int32 = 64
  }

  /// Runs the shell to its end and returns the exit code. To be called once, on the main thread, before any other
  /// thread is started: it decides which signals the whole program sees.
  package static func run(_ options: Options) -> Int32 {
    Terminal.chooseLocale()
    let isInteractive = options.steps.isEmpty && Terminal.isTerminal(0) && Terminal.isTerminal(1)
    let signals = SignalSource(
      isInteractive ? [SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT] : [SIGINT])
    // Writing to a program that has ended is an error to handle, not the end of the shell.
    signal(SIGPIPE, SIG_IGN)
    do throws(CommandFailure) {
      let session = try makeSession(options, isInteractive: isInteractive)
      let output = StandardOutput(renderer: renderer(options, session.settings, isInteractive: isInteractive))
      session.settingsHandler.withLock { handler in
        handler = { [output] settings in output.setRenderer { $0.take(settings) } }
      }
      if isInteractive { return InteractiveShell(session, output, signals, options).run() }
      // Everything that can be wrong is found before anything runs.
      let readers = try readers(options.steps.isEmpty ? [.script("-")] : options.steps)
      return runScripts(options, readers, session, output, signals)
    } catch {
      complain(error.message)
      if let hint = error.hint { complain(hint) }
      return Exit.usage
    }
  }

  private static func complain(_ message: String) {
    _ = StandardOutput.write(2, Array("rpc-client: \(message)\n".utf8))
  }

  // MARK: Setting up

  private static func makeSession(_ options: Options, isInteractive: Bool) throws(CommandFailure)
    -> ShellSession
  {
    let file = try load(options.config)
    let key = try privateKey(options)
    let certificate = try certificate(options)
    let source = NetworkSource(file, key: key, certificate: certificate)
    let maker: ShellSession.BackendMaker = { identity throws(CommandFailure) in
      let file = source.file
      if let identity { try check(identity, key, certificate, in: file.network, options) }
      return ClientBackend(
        topology: file.network, declared: file.procedures, identity: identity, key: key,
        certificate: certificate, staysConnected: isInteractive)
    }
    let owner = file.network.clients.first { client in
      if let registered = client.key, registered == key?.publicKey || registered == certificate?.key {
        return true
      }
      guard let certificate else { return false }
      return client.certificate == .pin(certificate.pin)
    }?.name
    var settings = Settings()
    if let text = options.timeout {
      guard let timeout = Quantity.duration(parsing: text), timeout > .zero else {
        throw .usage("-t is a time above 0 such as 5, 500ms, 1.5s or 2m, not '\(text)'")
      }
      settings.timeout = timeout
    }
    if let output = options.output {
      guard let format = OutputFormat(rawValue: output) else {
        let formats = OutputFormat.allCases.map(\.rawValue)
        throw .usage(
          "-o takes \(formats.joined(separator: ", ")), not '\(output)'"
            + Suggestion.text(for: output, among: formats))
      }
      settings.output = format
    }
    for entry in options.metadata {
      guard let colon = entry.firstIndex(of: ":"), colon != entry.startIndex else {
        throw .usage("-H takes KEY:VALUE, not '\(entry)'")
      }
      settings.metadata[String(entry[..<colon])] = .string(
        String(entry[entry.index(after: colon)...]).trimmingSpaces)
    }
    settings.isColored = showsColors(options.color)
    // Standard input is the script, or what `-` reads.
    let isScript = !isInteractive && (options.steps.isEmpty || options.steps.contains(.script("-")))
    return ShellSession(
      backend: try maker(options.identity ?? owner), settings: settings,
      standardInput: isScript ? .isScript : .readable,
      network: source, makeBackend: maker)
  }

  private static func privateKey(_ options: Options) throws(CommandFailure) -> PrivateKey? {
    do throws(KeyError) {
      if let key = try KeyFile.chosenPrivateKey(options.key) { return key }
      // A shell that acts as a given client does not act as the deployer.
      return options.identity == nil && options.certificate == nil ? try DeployKey.existing() : nil
    } catch {
      throw .usage(error.message)
    }
  }

  private static func certificate(_ options: Options) throws(CommandFailure) -> OwnCertificate? {
    guard let files = options.certificate else { return nil }
    do throws(KeyError) {
      return try OwnCertificate(certificate: files.certificate, key: files.key)
    } catch {
      throw .usage("--tls-certificate: \(error.message)")
    }
  }

  /// Whether one can be this client at all; what servers would only refuse is said at once.
  private static func check(
    _ identity: String, _ key: PrivateKey?, _ certificate: OwnCertificate?, in network: Topology,
    _ options: Options
  ) throws(CommandFailure) {
    guard let client = network.client(identity) else {
      throw .usage(
        "\(options.config) has no client '\(identity)'"
          + Suggestion.orAll(for: identity, among: network.clients.map(\.name)))
    }
    guard let registered = client.key, registered != key?.publicKey, registered != certificate?.key else {
      return
    }
    throw .usage(
      key == nil
        ? "the client '\(identity)' is known by its key"
        : "the client '\(identity)' is known by another key (\(registered.fingerprint)) than the one in use",
      hint: "name its private key with --key FILE, or in the variable \(KeyFile.variable)")
  }

  private static func load(_ path: String) throws(CommandFailure) -> InitFile {
    do throws(InitFileErrors) {
      return try InitFile.load(path, checkingSources: false)
    } catch {
      let isMissing = access(path, R_OK) != 0
      throw .usage(
        error.diagnostics.count == 1
          ? error.description : "\(path) has \(error.diagnostics.count + error.omitted) errors:\n\(error)",
        hint: isMissing ? "name the file with --config FILE, or run this where init.yaml is" : nil)
    }
  }

  private static func renderer(_ options: Options, _ settings: Settings, isInteractive: Bool) -> Renderer {
    Renderer(
      format: settings.output, style: Style(isColored: settings.isColored),
      width: Terminal.size(of: 1).columns,
      isInteractive: isInteractive, slowAfter: settings.slow, isQuiet: options.isQuiet)
  }

  /// The flag goes before the environment.
  private static func showsColors(_ color: Options.Color) -> Bool {
    switch color {
    case .always: true
    case .never: false
    case .auto: Terminal.isTerminal(1) && !Environment.isSet("NO_COLOR") && Environment["TERM"] != "dumb"
    }
  }

  // MARK: Scripts

  /// Where the commands of a step come from.
  private struct StepReader {
    /// Before the line numbers in messages, nil for a command of the command line.
    var name: String?
    var reader: CommandReader
    var file: ScriptFile?
  }

  private static func readers(_ steps: [Options.Step]) throws(CommandFailure) -> [StepReader] {
    var readers: [StepReader] = []
    for step in steps {
      switch step {
      case .command(let text): readers.append(StepReader(reader: CommandReader(text: text)))
      case .script("-"):
        if readers.contains(where: { $0.name == "stdin" }) {
          throw .usage("standard input ('-') can be read as one script only")
        }
        readers.append(StepReader(name: "stdin", reader: CommandReader(descriptor: 0)))
      case .script(let path):
        do throws(SystemError) {
          let file = try ScriptFile(FileContent.expanded(path))
          readers.append(
            StepReader(name: path, reader: CommandReader(descriptor: file.descriptor.raw), file: file))
        } catch {
          throw .usage("cannot read '\(path)': \(error.reason)")
        }
      }
    }
    return readers
  }

  private static func runScripts(
    _ options: Options, _ readers: [StepReader], _ session: ShellSession, _ output: StandardOutput,
    _ signals: SignalSource
  ) -> Int32 {
    output.setWhenBroken { code in
      if code == EPIPE { dieOfPipe() }
      complain(StandardStreams.problem(code))
      _exit(Exit.failed)
    }
    let result = FirstAnswer<Int32>()
    let work = Task {
      let exit = await scripts(options, readers, session, output)
      output.flush()
      result.answer(exit)
      signals.wake()
    }
    // The first Ctrl-C cancels what is in flight, on the servers too; a second one does not wait for that.
    var interrupts = 0
    while true {
      switch signals.wait() {
      case .woken:
        guard let exit = result.now else { continue }
        session.backend.close()
        return exit
      case .signal:
        interrupts += 1
        if interrupts > 1 { _exit(Exit.interrupted) }
        work.cancel()
      }
    }
  }

  private static func scripts(
    _ options: Options, _ readers: [StepReader], _ session: ShellSession, _ output: StandardOutput
  ) async -> Int32 {
    var outcome = ScriptRunner.Outcome()
    for step in readers where !outcome.isStopped && !outcome.isInterrupted && !session.isEnding {
      var runner = ScriptRunner(
        session: session, output: output, name: step.name, stopsAtFailure: options.stopsAtFailure)
      outcome.add(await runner.run(step.reader))
      withExtendedLifetime(step.file) {}
    }
    // Background jobs belong to the script.
    for job in session.change({ $0.jobs.running }) {
      if !outcome.isInterrupted { outcome.isInterrupted = !(await session.wait(for: job)) }
      if outcome.isInterrupted {
        session.cancelJob(job)
        // Until the servers have been asked to cancel it, too. This task is cancelled already, another one can wait.
        _ = await Task { await session.wait(for: job) }.value
      }
      if session.change({ $0.jobs.job(job)?.status }) == .failed { outcome.failures += 1 }
    }
    return exitCode(outcome, options)
  }

  static func exitCode(_ outcome: ScriptRunner.Outcome, _ options: Options) -> Int32 {
    if outcome.isInterrupted { return Exit.interrupted }
    if outcome.isStopped { return Exit.stopped }
    guard outcome.failures > 0 else { return Exit.done }
    // One call from the command line tells how it ended.
    if case .command? = options.steps.first, options.steps.count == 1, outcome.commands == 1,
      case .call(let error)? = outcome.lastFailure?.kind
    {
      return Exit.callBase + Int32(error.code.rawValue)
    }
    return Exit.failed
  }

  /// Ends as any program whose reader is gone: by SIGPIPE, quietly, however much of the script is left.
  private static func dieOfPipe() {
    signal(SIGPIPE, SIG_DFL)
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGPIPE)
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
    raise(SIGPIPE)
  }
}
