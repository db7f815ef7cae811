/// Where a topology comes from: a file today, a registry tomorrow.
public protocol TopologySource: Sendable {
  /// The topology as it is, then each change of it. A consumer that is slow gets the newest one, and each use of the
  /// property starts with what is there then. It ends where the topology cannot change any more.
  var topologies: AsyncStream<TopologyUpdate> { get }
}

/// What a source of topologies has to say.
public enum TopologyUpdate: Hashable, Sendable {
  case topology(Topology)
  /// Why what the source holds now is not taken, in words for people. The topology before it stays in use.
  case refused(String)
}

/// Why a source has no topology to start with.
public struct TopologyError: Error, Hashable, Sendable, CustomStringConvertible {
  public var message: String
  public var description: String { message }

  public init(_ message: String) { self.message = message }
}

extension Topology: TopologySource {
  /// Itself alone: it is written down in the program.
  public var topologies: AsyncStream<TopologyUpdate> {
    AsyncStream { continuation in
      continuation.yield(.topology(self))
      continuation.finish()
    }
  }
}
