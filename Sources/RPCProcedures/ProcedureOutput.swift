/// One line that a procedure printed or logged.
public struct ProcedureOutput: Sendable {
  public enum Stream: String, Sendable {
    case standardOutput = "stdout"
    case standardError = "stderr"
    /// `rpc.log` of Lua.
    case log
  }

  public var procedure: Procedure
  public var stream: Stream
  public var text: String

  public init(procedure: Procedure, stream: Stream, text: String) {
    self.procedure = procedure
    self.stream = stream
    self.text = text
  }

  /// What takes the lines of all procedures of a loop, on that loop.
  public typealias Sink = (ProcedureOutput) -> Void
}
