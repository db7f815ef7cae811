/// What one loop counts. Plain numbers of one thread: reading them goes through the loop's mailbox.
internal struct LoopMetrics: Sendable {
  var connections = 0
  var connectionsTotal: UInt64 = 0
  var connectionsRefused: UInt64 = 0
  var calls: UInt64 = 0
  var errors: UInt64 = 0
  var cancelled: UInt64 = 0
  var deadlineExceeded: UInt64 = 0
  var refused: UInt64 = 0
  var bytesIn: UInt64 = 0
  var bytesOut: UInt64 = 0
  var callsInFlight = 0

  static func + (left: LoopMetrics, right: LoopMetrics) -> LoopMetrics {
    var sum = left
    sum.connections += right.connections
    sum.connectionsTotal += right.connectionsTotal
    sum.connectionsRefused += right.connectionsRefused
    sum.calls += right.calls
    sum.errors += right.errors
    sum.cancelled += right.cancelled
    sum.deadlineExceeded += right.deadlineExceeded
    sum.refused += right.refused
    sum.bytesIn += right.bytesIn
    sum.bytesOut += right.bytesOut
    sum.callsInFlight += right.callsInFlight
    return sum
  }
}
