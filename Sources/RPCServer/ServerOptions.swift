public import RPCProcedures
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// What a server can be told when it starts: every bound it keeps has its default here, and a flag of
/// `rpc-server`.
public struct ServerOptions: Sendable {
  /// Where deployments are kept; nil keeps none, as an embedded server with Swift closures alone needs none.
  public var dataDirectory: String?
  /// A file with the public keys of those who may deploy, one a line; nil trusts the deploy key of the user that the
  /// server runs as.
  public var deployersFile: String?
  /// Whether and how connections are encrypted.
  public var tls = TLSOptions()
  /// Event loops, each on its own thread. 0 means one per core.
  public var loops = 0
  /// How long calls in flight may take to end once the server is told to stop, in milliseconds.
  public var drainTimeoutMilliseconds = 10_000
  /// How long a peer may take to introduce itself, in milliseconds; 0 for ever.
  public var handshakeTimeoutMilliseconds = 10_000
  /// How long a connection may be silent with no call in flight, in milliseconds; 0 for ever.
  public var idleTimeoutMilliseconds = 0
  /// How long one frame or line may take to arrive, in milliseconds; 0 for ever.
  public var frameTimeoutMilliseconds = 30_000
  /// How often clients are asked to ping, in milliseconds; 0 for never.
  public var pingMilliseconds = 30_000
  /// With calls in flight, how long a client may be silent before it gets a PING, and how long it has to answer
  /// before its connection is given up, in milliseconds; 0 for ever.
  public var keepaliveMilliseconds = 5_000
  /// How long a peer's system may acknowledge nothing of what it was sent, or be silent on an idle connection, before
  /// the connection ends, in milliseconds; 0 for as long as the kernel tries by itself.
  public var acknowledgeTimeoutMilliseconds = ConnectionLimits().acknowledgeMilliseconds
  /// Bytes of one frame's payload.
  public var frameBytes = WireLimits.frameBytes
  /// Bytes of one line of json, and of the values that answer it.
  public var jsonBytes = WireLimits.jsonBytes
  /// Calls in flight on one connection.
  public var callsPerConnection = WireLimits.callsPerConnection
  /// Calls in flight on the whole server.
  public var callsPerServer = 65_536
  /// Open connections.
  public var connections = 65_536
  /// Bytes of memory that all connections may hold together; 0 for a quarter of what this process may use. Peers whose
  /// address is not a declared client's, and who have proven neither a client's key nor one that may deploy, share a
  /// quarter of it, unless this server has no clients and no data directory.
  public var memoryBytes = 0
  /// Connections the kernel keeps while the loop is busy.
  public var backlog: Int32 = 1024
  /// Spin for the next event before sleeping, in microseconds; 0 sleeps at once.
  public var busyPollMicroseconds = 0
  /// Bytes of unread replies above which a connection is not read from, until a quarter is left.
  public var outputHighWater = ConnectionLimits().outputHighWater

  /// What procedures may use, each on one loop.
  public var procedures = RuntimeLimits()

  /// How far processes of procedures are confined at least; a service may ask for more.
  public var isolation = Isolation.standard
  /// What services may name in `read` and `write`, with all below.
  public var allowedPaths: [String] = []

  /// A folder with a file for each secret that services may name, of mode 0700 and 0600; nil for none.
  public var secretsDirectory: String?
  /// systemd's `$CREDENTIALS_DIRECTORY`, whose secrets of services count where there is no such folder.
  package var credentialsDirectory: String?

  /// Folders with interpreters of Python, or with installations of them as pyenv keeps them, beside those that are found
  /// by themselves.
  public var interpreterFolders: [String] = []
  /// How long installing the requirements of a service may take, in milliseconds.
  public var installTimeoutMilliseconds = 5 * 60 * 1000
  /// Whether packages may be built from source, which runs code of theirs.
  public var allowsSourceBuilds = false

  internal var isolationPolicy: IsolationPolicy {
    var policy = IsolationPolicy()
    policy.isolation = isolation
    policy.allowedPaths = allowedPaths
    return policy
  }

  /// The largest value that `frameBytes` may have.
  package static let frameBytesMax = WireLimits.frameBytesMax

  /// Names of this server, besides its addresses, `localhost`, what init.yaml calls it and what its certificate names, that
  /// requests over HTTP may have as their `Host`.
  public var allowedHosts: [String] = []
  /// Origins whose pages may call over HTTP, as browsers write them: `https://example.org`.
  public var allowedOrigins: [String] = []
  /// Whether idempotent procedures may be called with GET, without a token, over HTTP.
  public var allowsGet = false

  /// What may stand between the sockets and the dialects, in the order in which they look at the first bytes.
  internal var filters: [FilterEntry] = []
  /// What the loops' timers go by, in tests.
  internal var clock: ManualClock?
  /// What connections may speak.
  internal var dialects = Dialects.all
  /// What procedures may be written in.
  package var languages = Languages.all

  /// What is written down: nothing unless asked for, since a library is quiet. `rpc-server` asks.
  public var log = LogOptions()

  public init() {}

  internal var connectionLimits: ConnectionLimits {
    var limits = ConnectionLimits()
    limits.outputHighWater = outputHighWater
    limits.outputLowWater = outputHighWater / 4
    limits.acknowledgeMilliseconds = acknowledgeTimeoutMilliseconds
    return limits
  }
}
