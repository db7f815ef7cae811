import RPCProcedures
import RPCTransport
import RPCWire

/// What a server's loop is to its procedures, for one call. It belongs to its loop.
final class TrialHost {
  private let services: TrialServices
  private let context: TrialThread.Context
  private let timeout: Duration
  private let loop: EventLoop
  private let errors: @Sendable (String) -> Void
  private var runtimes: [Language: any ProcedureRuntime] = [:]
  private lazy var installer = PythonInstaller(
    loop: loop,
    options: PythonInstaller.Options(
      directory: context.environments ?? "", timeoutMilliseconds: Self.installMilliseconds,
      allowsSourceBuilds: context.allowsSourceBuilds, isolation: context.isolation),
    interpreters: context.interpreters)
  private var state = State.idle

  /// As a server's, unless that is told otherwise.
  private static let installMilliseconds = 5 * 60 * 1000

  private enum State {
    case idle
    case installing((Result<[UInt8], RPCError>) -> Void)
    case preparing(SourceUnit)
    case calling(Invocation)
    case cancelled
  }

  init(
    _ services: TrialServices, _ context: TrialThread.Context, timeout: Duration, loop: EventLoop,
    errors: @escaping @Sendable (String) -> Void
  ) {
    self.services = services
    self.context = context
    self.timeout = timeout
    self.loop = loop
    self.errors = errors
  }

  func runtime(_ language: Language) throws(RPCError) -> any ProcedureRuntime {
    if let runtime = runtimes[language] { return runtime }
    guard let entry = Languages.all[language] else {
      throw RPCError(.failedPrecondition, "\(language.name) cannot be run here")
    }
    let errors = errors
    let runtime = entry.runtime(
      RuntimeContext(
        loop: loop, nested: TrialCaller(self, services, loop), isolation: context.isolation,
        secrets: context.secrets, interpreters: context.interpreters, environments: context.environments,
        log: { errors($0.text + "\n") }))
    runtimes[language] = runtime
    return runtime
  }

  /// Installs what the service requires and loads the source as a deployment does, then calls the procedure as a server
  /// does.
  func run(
    _ unit: SourceUnit, _ arguments: [UInt8], completion: @escaping (Result<[UInt8], RPCError>) -> Void
  ) {
    if case .cancelled = state { return completion(.failure(Self.cancelled)) }
    services.pythonVersions.forEach(context.interpreters.look(for:))
    guard let wanted = services.requirements(of: unit.procedure) else {
      return load(unit, arguments, completion: completion)
    }
    guard context.environments != nil else {
      return completion(
        .failure(
          RPCError(
            .failedPrecondition,
            "the requirements of '\(wanted.service)' cannot be installed: neither HOME nor XDG_CACHE_HOME is set"
          )))
    }
    state = .installing(completion)
    installer.install(
      [wanted], progress: { [errors] in errors($0 + "\n") },
      completion: { [self] failed in
        if let error = failed.first?.1 { return completion(.failure(error)) }
        load(unit, arguments, completion: completion)
      })
  }

  private func load(
    _ unit: SourceUnit, _ arguments: [UInt8], completion: @escaping (Result<[UInt8], RPCError>) -> Void
  ) {
    do throws(RPCError) {
      let runtime = try runtime(unit.procedure.language)
      state = .preparing(unit)
      runtime.prepare(unit) { [self] result in
        switch result {
        case .failure(let error): completion(.failure(error))
        case .success:
          if case .cancelled = state { return completion(.failure(Self.cancelled)) }
          state = .calling(
            call(unit, arguments, limit: timeout, depth: 0, deadline: nil, completion: completion))
        }
      }
    } catch {
      completion(.failure(error))
    }
  }

  /// Starts a call that ends at the latest when its procedure, the call that makes it, or `limit` says.
  @discardableResult
  func call(
    _ unit: SourceUnit, _ arguments: [UInt8], limit: Duration?, depth: Int, deadline: UInt64?,
    completion: @escaping (Result<[UInt8], RPCError>) -> Void
  ) -> Invocation {
    let declared = unit.procedure.timeoutMilliseconds.map { Duration.milliseconds($0) }
    let ends = [limit, declared].compactMap { $0.map { loop.now &+ UInt64(clamping: $0.nanoseconds) } }
    let end = (ends + [deadline].compactMap { $0 }).min()
    let timer = DeadlineOfTrial()
    let invocation = Invocation(unit: unit, arguments: arguments, deadline: end, depth: depth) { [loop] in
      timer.stop(on: loop)
      completion($0)
    }
    do throws(RPCError) {
      let runtime = try runtime(unit.procedure.language)
      runtime.invoke(invocation)
      if let end, !invocation.isFinished {
        let milliseconds = (end > loop.now ? end - loop.now : 0) / 1_000_000
        timer.start(at: end, on: loop) {
          runtime.cancel(
            invocation,
            reason: RPCError(
              .deadlineExceeded,
              "\(unit.procedure.signature.qualifiedName) did not finish within its deadline of \(milliseconds) ms",
              executed: .maybe))
        }
      }
    } catch {
      invocation.finish(.failure(error))
    }
    return invocation
  }

  private static let cancelled = RPCError(.cancelled, "interrupted")

  func cancel() {
    switch state {
    case .installing(let completion):
      installer.cancel()
      completion(.failure(Self.cancelled))
    case .preparing(let unit): runtimes[unit.procedure.language]?.cancelPreparing([unit])
    case .calling(let invocation):
      runtimes[invocation.procedure.language]?.cancel(invocation, reason: Self.cancelled)
    case .idle, .cancelled: break
    }
    state = .cancelled
  }

  func shutDown() {
    installer.shutDown()
    for runtime in runtimes.values { runtime.shutdown() }
    runtimes = [:]
  }
}

/// The one timer of a call.
private final class DeadlineOfTrial: TimerTarget {
  private var id: TimerID?
  private var action: (() -> Void)?

  func start(at time: UInt64, on loop: EventLoop, _ action: @escaping () -> Void) {
    self.action = action
    id = loop.schedule(at: time, self)
  }

  func stop(on loop: EventLoop) {
    if let id { loop.cancel(id) }
    id = nil
    action = nil
  }

  func timerFired(tag: UInt64, on loop: EventLoop) {
    id = nil
    action?()
  }
}

/// Calls that a procedure makes: those of its own service are run here too, whatever server it names.
private final class TrialCaller: NestedCaller {
  private weak var host: TrialHost?
  private let services: TrialServices
  private let loop: EventLoop

  init(_ host: TrialHost, _ services: TrialServices, _ loop: EventLoop) {
    self.host = host
    self.services = services
    self.loop = loop
  }

  func call(
    _ procedure: String, _ arguments: [Value], on server: String?, from service: String, deadline: UInt64?,
    depth: Int, metadata: [String: Value], completion: @escaping (Result<[Value], RPCError>) -> Void
  ) -> () -> Void {
    do throws(RPCError) {
      try CallFrame.checkDepth(depth, of: procedure)
      let unit = try unit(procedure, arguments, from: service)
      guard let host else { throw RPCError(.unavailable, "the trial is over") }
      let invocation = host.call(
        unit, Value.list(arguments).messagePack, limit: nil, depth: depth, deadline: deadline
      ) { result in
        completion(result.map { (try? Value.list(messagePack: $0)) ?? [] })
      }
      return { [weak host] in
        (try? host?.runtime(unit.procedure.language))?.cancel(
          invocation, reason: RPCError(.cancelled, "the call that made it has ended"))
      }
    } catch {
      loop.atEndOfTurn { completion(.failure(error)) }
      return {}
    }
  }

  private func unit(
    _ procedure: String, _ arguments: [Value], from service: String
  ) throws(RPCError) -> SourceUnit {
    let parts = procedure.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(
      String.init)
    guard parts.count == 2 else {
      throw RPCError(.invalidArguments, "'\(procedure)' does not name a procedure: write SERVICE.NAME")
    }
    guard parts[0].hasSameUTF8(as: service) else {
      throw RPCError(
        .unavailable,
        "a trial runs the procedures of '\(service)' alone: \(procedure) is of another service, which takes a server"
      )
    }
    let found = try services.catalogue.find(
      service: parts[0], procedure: parts[1], arguments: arguments.map { ValueType(describing: $0) },
      returns: nil)
    guard case .source(let unit) = found.implementation else {
      throw RPCError(.unavailable, "\(procedure) has no source")
    }
    return unit
  }
}
