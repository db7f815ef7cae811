internal import RPCTransport
internal import RPCWire

/// What a worker is asked to do: a call, or the loading of a source.
internal final class WorkerJob {
  enum Work {
    case call(Invocation)
    case load((Result<Void, RPCError>) -> Void)
  }

  let unit: WorkerUnit
  private var work: Work?
  /// How deep it is nested in other calls.
  let depth: Int
  /// Where it waits for a worker; nil once it waits no more.
  var place: RemovableQueue<WorkerJob>.Ticket?
  /// Who does it; nil while it waits.
  weak var worker: WorkerConnection?
  /// What it wrote to its worker's descriptors 1 and 2, as far as its launcher has told.
  var rawOutputBytes = 0
  /// Ends the call of another procedure that it waits for.
  var endNested: (() -> Void)?

  init(_ work: Work, unit: WorkerUnit) {
    self.work = work
    self.unit = unit
    if case .call(let invocation) = work { depth = invocation.depth } else { depth = 0 }
  }

  var isFinished: Bool { work == nil }

  var invocation: Invocation? {
    if case .call(let invocation) = work { invocation } else { nil }
  }

  func finish(_ result: Result<[UInt8], RPCError>) {
    guard let work else { return }
    self.work = nil
    endNested?()
    endNested = nil
    switch work {
    case .call(let invocation): invocation.finish(result)
    case .load(let completion): completion(result.map { _ in () }.mapError(Self.asLoadFailure))
    }
  }

  /// Whatever goes wrong while a source is loaded keeps the source from being deployed.
  private static func asLoadFailure(_ error: RPCError) -> RPCError {
    guard error.exception == .executionException || error.exception == .deadlineExceeded else { return error }
    var error = error
    error.exception = .failedPrecondition
    error.executed = .no
    return error
  }
}
