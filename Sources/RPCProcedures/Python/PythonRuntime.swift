package import RPCWire

/// Runs Python procedures, those of services that name a version of Python with that one: a pool of workers for each
/// interpreter, each with bounds of its own.
package final class PythonRuntime: ProcedureRuntime {
  private let context: RuntimeContext
  /// By version; the empty one is that of services which name none.
  private var pools: [String: WorkerPool] = [:]
  private var isShutDown = false

  package init(_ context: RuntimeContext) {
    self.context = context
  }

  private func pool(for unit: SourceUnit) throws(RPCError) -> WorkerPool {
    let provision = unit.procedure.confinement.provision
    let version = provision.python ?? ""
    if let pool = pools[version] { return pool }
    guard !isShutDown else { throw RPCError(.unavailable, "the server is shutting down") }
    var program = PythonProgram()
    if !version.isEmpty {
      guard let path = context.interpreters.program(for: version) else {
        throw RPCError(
          .failedPrecondition,
          context.interpreters.refusal(of: provision, service: unit.procedure.signature.service) ?? "",
          source: unit.procedure.sourceName)
      }
      program = PythonProgram(interpreter: path, version: version)
    }
    let pool = program.runtime(context)
    pools[version] = pool
    return pool
  }

  package func prepare(_ unit: SourceUnit, completion: @escaping (Result<Void, RPCError>) -> Void) {
    do throws(RPCError) {
      try pool(for: unit).prepare(unit, completion: completion)
    } catch {
      completion(.failure(error))
    }
  }

  package func cancelPreparing(_ units: [SourceUnit]) {
    for pool in pools.values { pool.cancelPreparing(units) }
  }

  package func invoke(_ invocation: Invocation) {
    do throws(RPCError) {
      try pool(for: invocation.unit).invoke(invocation)
    } catch {
      invocation.finish(.failure(error))
    }
  }

  package func cancel(_ invocation: Invocation, reason: RPCError) {
    pools[invocation.procedure.confinement.provision.python ?? ""]?.cancel(invocation, reason: reason)
  }

  package func secretsChanged() {
    for pool in pools.values { pool.secretsChanged() }
  }

  package func forget(digests: [String]) {
    for pool in pools.values { pool.forget(digests: digests) }
  }

  package var isolationTier: String? { pools.values.lazy.compactMap(\.isolationTier).first }

  package func shutdown() {
    isShutDown = true
    for pool in pools.values { pool.shutdown() }
  }

  package var load: RuntimeLoad {
    pools.values.reduce(RuntimeLoad(running: 0, queued: 0, workers: 0)) { $0 + $1.load }
  }
}
