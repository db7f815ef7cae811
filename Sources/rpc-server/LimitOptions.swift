import ArgumentParser
import RPCServer

/// The flags of `ServerOptions`' bounds.
struct LimitOptions: ParsableArguments {
  static let defaults = ServerOptions()

  @Option(help: "How long calls in flight may take to end once told to stop, in milliseconds.")
  var drainTimeout = defaults.drainTimeoutMilliseconds

  @Option(help: "How long a peer may take to introduce itself, in milliseconds; 0 for ever.")
  var handshakeTimeout = defaults.handshakeTimeoutMilliseconds

  @Option(help: "How long a connection may be silent with no call in flight, in milliseconds; 0 for ever.")
  var idleTimeout = defaults.idleTimeoutMilliseconds

  @Option(help: "How long one frame or line may take to arrive, in milliseconds; 0 for ever.")
  var frameTimeout = defaults.frameTimeoutMilliseconds

  @Option(help: "How often clients are asked to ping, in milliseconds; 0 for never.")
  var pingInterval = defaults.pingMilliseconds

  @Option(
    help:
      "With calls in flight, how long a client may be silent, and then not answer, in milliseconds; 0 for ever."
  )
  var keepalive = defaults.keepaliveMilliseconds

  @Option(
    help:
      "How long a peer's system may acknowledge nothing, or an idle one answer no probe, in milliseconds; 0 for as long as the kernel tries."
  )
  var ackTimeout = defaults.acknowledgeTimeoutMilliseconds

  @Option(help: "Bytes of one frame's payload.")
  var maxFrame = defaults.frameBytes

  @Option(help: "Bytes of one line of json, and of the values that answer it.")
  var maxJson = defaults.jsonBytes

  @Option(help: "Calls in flight on one connection.")
  var maxCallsPerConnection = defaults.callsPerConnection

  @Option(help: "Calls in flight on the whole server.")
  var maxCalls = defaults.callsPerServer

  @Option(help: "Open connections.")
  var maxConnections = defaults.connections

  @Option(
    help: "Bytes of memory that all connections may hold together (default: a quarter of this machine's).")
  var maxMemory: Int?

  @Option(help: "Bytes of unread replies above which a connection is not read from.")
  var outputHighWater = defaults.outputHighWater

  @Option(help: "Connections the kernel keeps while the loops are busy.")
  var backlog = Int(defaults.backlog)

  @Option(help: "Spin this many microseconds for the next event before sleeping; 0 sleeps at once.")
  var busyPoll = defaults.busyPollMicroseconds

  func validate() throws {
    try Self.require(drainTimeout, 0...3_600_000, "--drain-timeout")
    try Self.require(handshakeTimeout, 0...3_600_000, "--handshake-timeout")
    try Self.require(idleTimeout, 0...86_400_000, "--idle-timeout")
    try Self.require(frameTimeout, 0...3_600_000, "--frame-timeout")
    try Self.require(pingInterval, 0...86_400_000, "--ping-interval")
    try Self.require(keepalive, 0...3_600_000, "--keepalive")
    try Self.require(ackTimeout, 0...3_600_000, "--ack-timeout")
    try Self.require(maxFrame, 4096...ServerOptions.frameBytesMax, "--max-frame")
    try Self.require(maxJson, 4096...ServerOptions.frameBytesMax, "--max-json")
    try Self.require(maxCallsPerConnection, 1...1_000_000, "--max-calls-per-connection")
    try Self.require(maxCalls, 1...10_000_000, "--max-calls")
    try Self.require(maxConnections, 1...1_000_000, "--max-connections")
    if let maxMemory { try Self.require(maxMemory, 1_048_576...1_099_511_627_776, "--max-memory") }
    try Self.require(outputHighWater, 4096...1_073_741_824, "--output-high-water")
    try Self.require(backlog, 1...65_535, "--backlog")
    try Self.require(busyPoll, 0...1_000_000, "--busy-poll")
  }

  static func require(_ value: Int, _ range: ClosedRange<Int>, _ flag: String) throws {
    guard range.contains(value) else {
      throw ValidationError("\(flag) must be \(range.lowerBound) to \(range.upperBound), not \(value)")
    }
  }

  func apply(to options: inout ServerOptions) {
    options.drainTimeoutMilliseconds = drainTimeout
    options.handshakeTimeoutMilliseconds = handshakeTimeout
    options.idleTimeoutMilliseconds = idleTimeout
    options.frameTimeoutMilliseconds = frameTimeout
    options.pingMilliseconds = pingInterval
    options.keepaliveMilliseconds = keepalive
    options.acknowledgeTimeoutMilliseconds = ackTimeout
    options.frameBytes = maxFrame
    options.jsonBytes = maxJson
    options.callsPerConnection = maxCallsPerConnection
    options.callsPerServer = maxCalls
    options.connections = maxConnections
    options.memoryBytes = maxMemory ?? 0
    options.outputHighWater = outputHighWater
    options.backlog = Int32(backlog)
    options.busyPollMicroseconds = busyPoll
  }
}
