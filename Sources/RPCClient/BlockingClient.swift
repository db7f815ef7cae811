internal import RPCWire

internal final class BlockingClient: Sendable {
  init(engine: ClientEngine) {}
  func close() {}
  func forgetConnections() {}
}
