public import RPCNetwork
public import RPCWire

/// How a client stands with one server.
public enum ServerState: Sendable, Hashable {
  /// Not connected, since nobody called it lately.
  case idle
  case connecting
  /// Connected. `roundTrip` is that of the last HELLO or PING.
  case up(generation: Int, roundTrip: Duration?)
  /// The last attempt failed, or the connection was lost.
  case down(RPCError)
}

/// What happens to a client's connections.
public enum ClientEvent: Sendable, Hashable {
  case connected(server: String, generation: Int)
  /// `reason` is nil where the client closed the connection itself.
  case disconnected(server: String, reason: RPCError?)
  /// A new generation of procedures is in force.
  case generation(server: String, serial: Int)
  /// The server is going away: it answers what it has and takes no more. The reason is empty where it is shut down.
  case draining(server: String, reason: String)
  /// Another topology is in use.
  case topology(Topology)
  /// The client's source has a topology that cannot be used, for this reason: the one in use stays.
  case topologyRefused(reason: String)
}
