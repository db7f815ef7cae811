internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// What procedures are told of their calls.
internal typealias ProcedureContext = RPCProcedures.CallContext

/// What a caller sends along with a call besides its arguments.
internal struct CallContext {
  /// W3C trace context: 26 bytes, or none.
  var trace: [UInt8] = []
  /// A MessagePack map, or nothing.
  var metadata: [UInt8] = []
  /// How deep it is nested in calls of procedures: 0 for a client's.
  var depth = 0
  /// The service whose procedure makes it, as its server says; nil for a client's.
  var service: String?
}

/// A call that could not be answered at once. Lives on its connection's loop until it is concluded, which
/// happens exactly once: by its result, its deadline, its caller's cancel or the end of the connection.
internal final class ServerCall: TimerTarget {
  /// The caller's number of it, unique among the calls in flight of its connection.
  let id: UInt64
  let procedure: BoundProcedure
  let caller: Caller
  /// When it began, on the loop's clock.
  let started: UInt64
  /// When it must have ended, on the loop's clock.
  let deadline: UInt64?
  /// What its connection holds for it while it is in flight.
  let arguments: [UInt8]
  let context: CallContext
  private let sink: any ReplySink
  /// Who counts and logs it, and whose table it is in.
  private let core: CallCore?
  let connection: ServerConnection?
  private(set) var isConcluded = false
  private var timer: TimerID?
  /// Ends the work where it is being done.
  var stop: ((RPCError) -> Void)?
  /// Goes on sending items.
  var creditGrew: (() -> Void)?

  init(
    id: UInt64, procedure: BoundProcedure, caller: Caller, started: UInt64, deadline: UInt64?,
    arguments: [UInt8], context: CallContext = CallContext(), sink: any ReplySink, core: CallCore? = nil,
    connection: ServerConnection? = nil
  ) {
    self.id = id
    self.procedure = procedure
    self.caller = caller
    self.started = started
    self.deadline = deadline
    self.arguments = arguments
    self.context = context
    self.sink = sink
    self.core = core
    self.connection = connection
  }

  /// The only timer of a call: runtimes are told to stop when it fires.
  func armDeadline(on loop: EventLoop) {
    guard !isConcluded, let deadline else { return }
    timer = loop.schedule(at: deadline, self)
  }

  func timerFired(tag: UInt64, on loop: EventLoop) {
    timer = nil
    end(deadlineExceeded, on: loop)
  }

  private var deadlineExceeded: RPCError {
    let milliseconds = (deadline ?? 0) > started ? ((deadline ?? 0) - started) / 1_000_000 : 0
    return RPCError(
      .deadlineExceeded,
      "\(procedure.signature.qualifiedName) did not finish within its deadline of \(milliseconds) ms",
      executed: .maybe)
  }

  /// Passes on values that come before the end, as a MessagePack list. A call with one answer never does this.
  ///
  /// - Returns: false where the caller takes none now: `creditGrew` will be called when it does. False too once the call
  ///   is over.
  func item(_ values: [UInt8]) -> Bool {
    guard !isConcluded, sink.credit > 0 else { return false }
    sink.item(values)
    return true
  }

  /// How many items the caller takes now.
  var credit: Int { isConcluded ? 0 : sink.credit }

  /// The dialect says that the caller takes more items than before.
  func addCredit() {
    guard !isConcluded, sink.credit > 0 else { return }
    creditGrew?()
  }

  /// Ends the call before its result: the caller is answered at once, the work is told to stop.
  func end(_ reason: RPCError, on loop: EventLoop) {
    guard !isConcluded else { return }
    let stop = stop
    conclude(.failure(reason), on: loop)
    stop?(reason)
  }

  /// Ends the call with its result.
  func conclude(_ outcome: CallOutcome, on loop: EventLoop) {
    guard !isConcluded else { return }
    isConcluded = true
    if let timer { loop.cancel(timer) }
    timer = nil
    stop = nil
    creditGrew = nil
    connection?.ended(self)
    core?.concluded(self, outcome)
    sink.end(outcome)
    connection?.afterAnswer()
  }
}
