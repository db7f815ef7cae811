package import RPCTransport
internal import RPCWire

/// Bounds what procedures add to a loop's log: so many bytes in a second for each procedure, and for all together. What is
/// beyond that is dropped, and a line says how much it was.
package final class OutputLimiter: TimerTarget {
  private struct Share {
    var bytes = 0
    var droppedBytes = 0
    var droppedLines = 0
    var procedure: Procedure
  }

  /// What a line costs beside its text.
  private static let lineBytes = 128
  private static let windowNanoseconds: UInt64 = 1_000_000_000

  private let loop: EventLoop
  private let limits: RuntimeLimits
  private let sink: ProcedureOutput.Sink
  private var bytes = 0
  private var shares: [Signature: Share] = [:]
  /// Ends the second that the counts are of.
  private var timer: TimerID?

  package init(loop: EventLoop, limits: RuntimeLimits = RuntimeLimits(), sink: @escaping ProcedureOutput.Sink)
  {
    self.loop = loop
    self.limits = limits
    self.sink = sink
  }

  package func log(_ output: ProcedureOutput) {
    if timer == nil { timer = loop.schedule(after: Self.windowNanoseconds, self) }
    let cost = output.text.utf8.count + Self.lineBytes
    let signature = output.procedure.signature
    let mine = shares[signature, default: Share(procedure: output.procedure)].bytes
    if mine + cost > limits.logBytesPerSecond || bytes + cost > limits.logBytesPerSecondOfAll {
      shares[signature]?.droppedBytes += output.text.utf8.count
      shares[signature]?.droppedLines += 1
      return
    }
    shares[signature, default: Share(procedure: output.procedure)].bytes += cost
    bytes += cost
    sink(output)
  }

  package func timerFired(tag: UInt64, on loop: EventLoop) {
    timer = nil
    flush()
  }

  /// Says what was dropped, and begins a new second.
  package func flush() {
    if let timer { loop.cancel(timer) }
    timer = nil
    let dropped = shares.values.filter { $0.droppedLines > 0 }
    shares.removeAll(keepingCapacity: shares.count < 1024)
    bytes = 0
    for share in dropped {
      sink(
        ProcedureOutput(
          procedure: share.procedure, stream: .log,
          text:
            "(\(share.droppedLines) lines of output with \(share.droppedBytes) bytes were dropped: a procedure may log \(limits.logBytesPerSecond) bytes a second, all procedures of a loop \(limits.logBytesPerSecondOfAll))"
        ))
    }
  }
}
