internal import RPCWire

/// What waits until the top level of its source has run.
internal enum LuaWaiter {
  case call(LuaProcedure, Invocation)
  case preparation(LuaProcedure, (Result<Void, RPCError>) -> Void)

  var procedure: LuaProcedure {
    switch self {
    case .call(let procedure, _), .preparation(let procedure, _): procedure
    }
  }

  /// Where a call waits, so that one that is cancelled waits no more.
  final class Place {
    private let source: LuaSource
    private let ticket: RemovableQueue<LuaWaiter>.Ticket

    init(_ source: LuaSource, _ ticket: RemovableQueue<LuaWaiter>.Ticket) {
      self.source = source
      self.ticket = ticket
    }

    /// Returns whether the call was still waiting.
    func leave() -> Bool { source.waiters.remove(ticket) != nil }
  }
}
