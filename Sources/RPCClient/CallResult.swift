public import RPCWire

/// The values that a call returned, and how it went.
public struct CallResult: Sendable, Hashable {
  public var values: [Value]
  /// The name of the server that answered.
  public var server: String
  /// From the call to the answer, over all attempts.
  public var elapsed: Duration
  /// How often the call was tried, this success included.
  public var attempts: Int

  public init(values: [Value], server: String, elapsed: Duration, attempts: Int) {
    self.values = values
    self.server = server
    self.elapsed = elapsed
    self.attempts = attempts
  }
}
