internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// What one loop tells the log, in the server's words.
internal final class LoopLog {
  func connected(_ caller: Caller) {}
  func greeted(_ caller: Caller, dialect: String) {}
  func disconnected(_ caller: Caller, _ reason: CloseReason) {}
  func refusedConnection(_ caller: Caller, _ error: RPCError) {}
  @inline(__always)
  func executed(_ procedure: BoundProcedure, by caller: Caller) {}
  func concluded(_ call: ActiveCall, _ result: Result<[UInt8], RPCError>, by caller: Caller, now: UInt64) {}
  func failed(_ procedure: BoundProcedure?, _ error: RPCError, by caller: Caller) {}
  func flush() {}
  func printed(_ output: ProcedureOutput) {}
}

internal final class ServerLog: Sendable {
  func loopLog(on loop: EventLoop) -> LoopLog { LoopLog() }
  func note(_ message: String) {}
  func warn(_ message: String) {}
}
