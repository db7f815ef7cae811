import CLinux
import Glibc
import RPCClient
package import RPCDeployment
package import RPCProcedures
import RPCSystem
import RPCWire

/// Runs a procedure of a file on this machine as a server would, without one: what `initializer try` does.
package struct Trial: Sendable {
  package struct Options: Sendable {
    package var file = InitFile.defaultPath
    /// `SERVICE.NAME`, with the types of an overload behind it where one is meant.
    package var procedure = ""
    /// Each as the shell takes it.
    package var arguments: [String] = []
    package var isJSON = false
    package var isColored = false
    /// As `call -t` takes it; nil for the shell's default.
    package var timeout: String?
    /// As the flags of `rpc-server` have it.
    package var isolation = Isolation.standard
    package var allowedPaths: [String] = []
    package var secretsDirectory: String?
    package var allowsSourceBuilds = false
    package var interpreterFolders: [String] = []

    package init() {}
  }

  private let options: Options

  package init(options: Options) {
    self.options = options
  }

  /// - Parameters:
  ///   - output: takes the result, what standard output is for.
  ///   - errors: takes what is wrong, and what the procedure prints; from any thread.
  /// - Returns: `wrongInput` where nothing was run, `failed` where the procedure cannot be loaded or its call failed.
  package func run(
    output: (String) -> Void, errors: @escaping @Sendable (String) -> Void
  ) async -> Initializer.Exit {
    let renderer = Renderer(
      format: options.isJSON ? .json : .auto, style: Style(isColored: options.isColored),
      width: Terminal.size(of: 1).columns, isInteractive: Terminal.isTerminal(1))
    let exit: Initializer.Exit
    let text: Renderer.Text
    do throws(CommandFailure) {
      let result = try await perform(errors)
      text = renderer.render(.answer(Report(procedure: result.procedure, answer: result.answer)))
      exit = .done
    } catch {
      text = renderer.render(error)
      exit =
        switch error.kind {
        case .call(let failure) where failure.exception == .cancelled && Task.isCancelled: .interrupted
        case .call(let failure) where Self.isWrongInput(failure): .wrongInput
        case .usage: .wrongInput
        default: .failed
        }
    }
    output(text.out)
    if !text.err.isEmpty { errors(text.err) }
    return exit
  }

  /// What a server says before it runs anything.
  private static func isWrongInput(_ error: RPCError) -> Bool {
    switch error.exception {
    case .serviceNotFound, .rpcNotFound, .invalidArguments: error.executed == .no
    default: false
    }
  }

  // MARK: What is run

  private func perform(
    _ errors: @escaping @Sendable (String) -> Void
  ) async throws(CommandFailure) -> (procedure: String, answer: CallResult) {
    let file: InitFile
    do throws(InitFileErrors) {
      file = try InitFile.load(options.file)
    } catch {
      throw .usage(error.description)
    }
    let services = TrialServices(file)
    let (procedure, values) = try choice(services)
    let name = procedure.signature.qualifiedName
    let bytes = Value.list(values).messagePack
    guard bytes.count <= WireLimits.frameBytes else {
      throw .usage("the arguments have \(bytes.count) bytes, the limit is \(WireLimits.frameBytes)")
    }
    let host = TrialThread(services: services, context: try context(), timeout: try timeout(), errors: errors)
    let started = ContinuousClock.now
    do throws(RPCError) {
      let values = try await host.run(procedure, bytes)
      return (
        name, CallResult(values: values, server: "local", elapsed: ContinuousClock.now - started, attempts: 1)
      )
    } catch {
      throw .call(error, procedure: name, server: "local")
    }
  }

  private func timeout() throws(CommandFailure) -> Duration {
    guard let text = options.timeout else { return Settings().timeout ?? .seconds(30) }
    guard let timeout = Quantity.duration(parsing: text), timeout > .zero else {
      throw .usage("--timeout is a time above 0 such as 5, 500ms, 1.5s or 2m, not '\(text)'")
    }
    return timeout
  }

  private func context() throws(CommandFailure) -> TrialThread.Context {
    // As a server: no process of a procedure reads this one's memory.
    rpc_set_undumpable()
    var policy = IsolationPolicy()
    policy.isolation = options.isolation
    policy.allowedPaths = options.allowedPaths
    let secrets = SecretStore(directory: options.secretsDirectory)
    do throws(SecretStoreError) {
      try secrets.load()
    } catch {
      throw .usage(error.description)
    }
    return TrialThread.Context(
      isolation: policy, secrets: secrets, environments: Self.environments,
      interpreters: PythonInterpreters(told: options.interpreterFolders),
      allowsSourceBuilds: options.allowsSourceBuilds)
  }

  /// Where packages are kept for the next time, as a server keeps its own; nil for a user without a home.
  private static var environments: String? {
    func whole(_ name: String) -> String? { Environment[name].flatMap { $0.hasPrefix("/") ? $0 : nil } }
    return (whole("XDG_CACHE_HOME") ?? whole("HOME").map { $0 + "/.cache" }).map {
      $0 + "/simplerpc/environments"
    }
  }

  /// The overload that a server would call with these arguments, and what it would be given.
  private func choice(_ services: TrialServices) throws(CommandFailure) -> (Procedure, [Value]) {
    let parsed: ProcedureName?
    do throws(FitError) {
      parsed = try ProcedureName(options.procedure)
    } catch {
      throw .usage(error.message)
    }
    guard let name = parsed, let service = name.service else {
      throw .usage("'\(options.procedure)' does not name a procedure: write SERVICE.NAME")
    }
    let arguments = try loaded(try options.arguments.map(Self.argument))
    do throws(RPCError) {
      let overloads = try services.catalogue.overloads(service: service, procedure: name.name)
        .map(\.procedure).filter { name.matches($0.signature) }
      if !overloads.isEmpty {
        do throws(OverloadResolver.Failure) {
          let choice = try OverloadResolver.choose(arguments, among: overloads)
          return (choice.procedure, choice.values)
        } catch {
          if case .ambiguous(let procedures) = error {
            let forms = procedures.map { "\($0.signature)" }.joined(separator: "\n  ")
            throw RPCError(.invalidArguments, "these values fit several overloads equally well:\n  \(forms)")
          }
        }
      }
      // The words of a server, which judges the types that values have by themselves.
      let values = try Self.natural(arguments)
      let found = try services.catalogue.find(
        service: service, procedure: name.name,
        arguments: name.overload ?? values.map { ValueType(describing: $0) }, returns: nil)
      return (found.procedure, values)
    } catch {
      throw .call(error, procedure: options.procedure)
    }
  }

  private static func natural(_ arguments: [Argument]) throws(RPCError) -> [Value] {
    var values: [Value] = []
    for argument in arguments {
      guard argument.name == nil else {
        throw RPCError(.invalidArguments, "no overload has arguments of these names")
      }
      do throws(FitError) {
        values.append(try argument.literal.natural())
      } catch {
        throw RPCError(.invalidArguments, error.message)
      }
    }
    return values
  }

  /// One word of the command line is one argument: what the shell would take as several, or as no value at all, is text.
  private static func argument(_ word: String) throws(CommandFailure) -> Argument {
    let line = CommandLine(parsing: "_ \(word)")
    if line.words.count == 2, line.issues.isEmpty, line.open.isEmpty, line.pipe == nil,
      line.redirection == nil, line.background == nil, line.words[1].text == word
    {
      return line.words[1]
    }
    // Brackets are values in the shell, so what is wrong in them is told.
    if let first = word.first, first == "[" || first == "{" {
      if let issue = line.issues.first { throw .usage("'\(word.prefix(80))': \(issue.message)") }
      if !line.open.isEmpty {
        throw .usage("'\(word.prefix(80))' is not finished: a bracket or a quote is open")
      }
    }
    return Argument(
      name: nil, literal: Literal(kind: .quoted(word), span: 0..<0), span: 0..<0, text: word)
  }

  private func loaded(_ arguments: [Argument]) throws(CommandFailure) -> [Argument] {
    try ArgumentLoader(variables: Variables()) { () throws(CommandFailure) in
      do throws(SystemError) {
        return try WholeFile.read(0, limit: ShellLimits.fileBytesMax)
      } catch {
        throw .usage("cannot read standard input: \(FileContent.reason(error))")
      }
    }.load(arguments)
  }
}
