internal import RPCProcedures
internal import RPCTransport

/// Makes the runtimes of a loop when the first procedure of their language arrives.
internal struct RuntimeFactory: Sendable {
  func make(_ language: Language, on host: ServerLoop) -> (any ProcedureRuntime)? {
    nil
  }
}
