internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// A call that could not be answered at once. Lives on its session's loop until it is concluded, which
/// happens exactly once: by its result, its deadline, its caller's cancel or the end of the connection.
internal final class ActiveCall: TimerTarget {
  let id: UInt64
  let procedure: BoundProcedure
  /// When it began, on the loop's clock.
  let started: UInt64
  /// When it must have ended, on the loop's clock.
  let deadline: UInt64?
  /// Bytes that its connection holds for it while it is in flight.
  let heldBytes: Int
  /// How deep it is nested in calls of procedures: 0 for a client's.
  let depth: Int
  /// How the caller is answered: its dialect's encoder.
  private let answer: (ActiveCall, Result<[UInt8], RPCError>) -> Void
  private(set) var isConcluded = false
  private var timer: TimerID?
  /// Ends the work where it is being done.
  var stop: ((RPCError) -> Void)?

  init(
    id: UInt64, procedure: BoundProcedure, started: UInt64, deadline: UInt64?, depth: Int = 0,
    heldBytes: Int = 0,
    answer: @escaping (ActiveCall, Result<[UInt8], RPCError>) -> Void
  ) {
    self.id = id
    self.procedure = procedure
    self.started = started
    self.deadline = deadline
    self.heldBytes = heldBytes
    self.depth = depth
    self.answer = answer
  }

  func armDeadline(on loop: EventLoop) {
    guard !isConcluded, let deadline else { return }
    timer = loop.schedule(at: deadline, self)
  }

  func timerFired(tag: UInt64, on loop: EventLoop) {
    timer = nil
    let milliseconds = (deadline ?? 0) > started ? ((deadline ?? 0) - started) / 1_000_000 : 0
    end(
      RPCError(
        .deadlineExceeded,
        "\(procedure.signature.qualifiedName) did not finish within its deadline of \(milliseconds) ms",
        executed: .maybe), on: loop)
  }

  /// Ends the call before its result: the caller is answered at once, the work is told to stop.
  func end(_ reason: RPCError, on loop: EventLoop) {
    guard !isConcluded else { return }
    let stop = stop
    conclude(.failure(reason), on: loop)
    stop?(reason)
  }

  /// Ends the call with its result.
  func conclude(_ result: Result<[UInt8], RPCError>, on loop: EventLoop) {
    guard !isConcluded else { return }
    isConcluded = true
    if let timer { loop.cancel(timer) }
    timer = nil
    stop = nil
    answer(self, result)
  }
}
