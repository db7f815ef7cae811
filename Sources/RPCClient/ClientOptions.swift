public import RPCKeys
public import RPCWire

/// How a client connects and spreads its calls. The defaults suit a program in a data centre.
public struct ClientOptions: Sendable {
  /// How one of a service's providers is chosen for a call that names no server.
  public enum Balancing: Sendable, Hashable {
    /// The provider with the fewest calls of this client in flight; in turn among equals.
    case leastOutstanding
    case roundRobin
  }

  /// What the client calls itself in the HELLO.
  public var agent = Release.agent
  /// Proves to servers who the client is, where they know it by a key.
  public var key: PrivateKey?
  /// Shows servers who the client is, where they know it by a certificate: only to those that are spoken to in TLS.
  public var certificate: OwnCertificate?
  public var balancing = Balancing.leastOutstanding
  /// The longest that connecting may take, from the first packet to the server's HELLO.
  public var connectTimeout: Duration = .seconds(5)
  /// Silence with calls in flight after which a server gets a PING, and how long it has to answer before the
  /// connection is given up: its calls fail, and it is connected to again later. Zero: never.
  public var keepalive: Duration = .seconds(5)
  /// Silence without calls in flight after which a server gets a PING; the server's own wish goes first. Zero: never.
  public var pingInterval: Duration = .seconds(10)
  /// How long the answer to a PING without calls in flight may take before the connection is given up.
  public var pingTimeout: Duration = .seconds(10)
  /// Pauses between attempts to connect.
  public var reconnect = Backoff(initial: .milliseconds(50), maximum: .seconds(5))
  /// Reconnects by itself when a connection is lost, not only for the next call: for those who show the
  /// servers' state.
  public var staysConnected = false
  /// The largest frame that is accepted, in bytes.
  public var frameBytes = 16 * 1024 * 1024
  /// How long to spin for an answer before sleeping. Zero: not at all.
  public var busyPoll: Duration = .zero

  public init() {}

  /// What the HELLO says of `keepalive`.
  internal var keepaliveMilliseconds: Int {
    keepalive == .zero ? 0 : max(1, Int(clamping: keepalive.nanoseconds / 1_000_000))
  }
}

extension Duration {
  /// Nanoseconds of an option whose zero means never.
  internal var orNever: UInt64 { nanoseconds == 0 ? Keepalive.never : nanoseconds }
}

/// What one call may be told.
public struct CallOptions: Sendable {
  /// From now until the answer, over all attempts; nil: for ever.
  public var deadline: Duration?
  public var retry = RetryPolicy.standard
  /// Waits for a server that is down to come back, until the deadline, instead of failing.
  public var waitForReady = false
  /// Goes with the call to the server.
  public var metadata: [String: Value] = [:]

  public init() {}

  public init(
    deadline: Duration?, retry: RetryPolicy = .standard, waitForReady: Bool = false,
    metadata: [String: Value] = [:]
  ) {
    self.deadline = deadline
    self.retry = retry
    self.waitForReady = waitForReady
    self.metadata = metadata
  }

  /// Options that set a deadline and nothing else.
  public static func deadline(_ deadline: Duration) -> CallOptions { CallOptions(deadline: deadline) }
}
