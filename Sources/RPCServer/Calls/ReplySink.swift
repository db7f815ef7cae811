internal import RPCWire

/// How a call ended: its values as a MessagePack list, or why there are none.
internal typealias CallOutcome = Result<[UInt8], RPCError>

/// Where the answer of one call goes: made by the dialect that read the call, used by the core, on their loop.
internal protocol ReplySink: AnyObject {
  /// Takes values that come before the end, as a MessagePack list. Only procedures that answer more than once do this,
  /// and never while `credit` is 0.
  func item(_ values: [UInt8])

  /// Takes the end of the call. Called exactly once, last.
  func end(_ outcome: CallOutcome)

  /// How many items the caller takes now.
  var credit: Int { get }
}

/// A call has one answer unless its dialect knows how to carry more.
extension ReplySink {
  func item(_ values: [UInt8]) { preconditionFailure("an item without credit") }
  var credit: Int { 0 }
}
