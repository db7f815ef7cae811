/// One line that a procedure printed or logged.
package struct ProcedureOutput: Sendable {
  package enum Stream: String, Sendable {
    case standardOutput = "stdout"
    case standardError = "stderr"
    /// `rpc.log` of Lua.
    case log
  }

  package var procedure: Procedure
  package var stream: Stream
  package var text: String

  package init(procedure: Procedure, stream: Stream, text: String) {
    self.procedure = procedure
    self.stream = stream
    self.text = text
  }

  /// What takes the lines of all procedures of a loop, on that loop.
  package typealias Sink = (ProcedureOutput) -> Void
}
