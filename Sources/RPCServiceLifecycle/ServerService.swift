public import RPCServer
public import ServiceLifecycle

/// A server as one service of a `ServiceGroup`: it starts with the group, drains when the group shuts down gracefully, and
/// ends at once when its task is cancelled.
public struct ServerService: Service {
  public let server: Server

  public init(_ server: Server) {
    self.server = server
  }

  /// Serves until the group shuts down or the server is stopped otherwise.
  ///
  /// - Throws: what `Server.start` throws.
  public func run() async throws {
    try server.start()
    await withTaskCancellationHandler {
      await withGracefulShutdownHandler {
        await server.untilStopped()
      } onGracefulShutdown: {
        server.beginStopping()
      }
    } onCancel: {
      server.stopNow()
    }
  }
}
