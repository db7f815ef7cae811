/// The payloads of the control frames, each with its encoder and decoder. CALL and REPLY are written and
/// read in place by those who own the bytes; their layout stands in `CallFrame`.

/// What a native connection starts with, before its first frame. The first byte is not a printable character
/// and no start of TLS, so that one port can tell its dialects apart.
package enum Preface {
  /// 0x89 "RPC" CR LF, the protocol's major version, zero.
  package static let bytes: [UInt8] = [0x89, 0x52, 0x50, 0x43, 0x0d, 0x0a, 0x01, 0x00]
  package static let majorVersion = 1
}

/// HELLO, once in each direction and first: a map, of which unknown keys are passed over.
package struct Hello: Hashable, Sendable {
  package var version = Preface.majorVersion
  /// The program: `SimpleRPC/1.0`.
  package var agent: String
  package var features: [String] = []
  /// Client: who it says it is, a name of `network.clients`.
  package var identity: String?
  /// Client: what a server signs with its key; 32 random bytes, from clients that want to know whom they talk to.
  package var nonce: [UInt8]?
  /// Server: its key, proven for the client's nonce.
  package var serverProof: ServerProof?
  /// Server: what a client that has a key answers with a PROOF; 32 random bytes, for those that asked alone.
  package var challenge: [UInt8]?
  /// The largest payload this side accepts, in bytes.
  package var frameBytes: Int = WireLimits.frameBytes
  /// Server: calls in flight it takes on this connection.
  package var callsInFlight: Int = WireLimits.callsPerConnection
  /// Milliseconds between pings the server would like, 0 for none.
  package var pingMilliseconds: Int = 0
  /// With calls in flight, milliseconds of silence after which this side sends a PING, and again that many for an
  /// answer before it gives the connection up. 0: it never does, and need not answer in time either.
  package var keepaliveMilliseconds: Int = 0
  /// Server: the generation of procedures in force, 0 before the first deployment.
  package var generation: Int = 0

  package init(agent: String, identity: String? = nil) {
    self.agent = agent
    self.identity = identity
  }

  package func encode(to queue: inout ByteQueue) {
    let mark = queue.beginFrame(.hello, callID: 0)
    let optional = [identity != nil, keepaliveMilliseconds > 0, nonce != nil, challenge != nil].count { $0 }
    queue.appendMapHeader(count: 7 + optional + (serverProof == nil ? 0 : 2))
    queue.appendString("version")
    queue.appendInt(Int64(version))
    queue.appendString("agent")
    queue.appendString(agent)
    queue.appendString("features")
    queue.appendListHeader(count: features.count)
    for feature in features { queue.appendString(feature) }
    if let identity {
      queue.appendString("identity")
      queue.appendString(identity)
    }
    queue.appendString("frame_bytes")
    queue.appendInt(Int64(frameBytes))
    queue.appendString("calls_in_flight")
    queue.appendInt(Int64(callsInFlight))
    queue.appendString("ping_ms")
    queue.appendInt(Int64(pingMilliseconds))
    if keepaliveMilliseconds > 0 {
      queue.appendString("keepalive_ms")
      queue.appendInt(Int64(keepaliveMilliseconds))
    }
    queue.appendString("generation")
    queue.appendInt(Int64(generation))
    if let nonce {
      queue.appendString("nonce")
      queue.appendBinary(nonce)
    }
    if let challenge {
      queue.appendString("challenge")
      queue.appendBinary(challenge)
    }
    if let serverProof {
      queue.appendString("server_key")
      queue.appendBinary(serverProof.key)
      queue.appendString("server_signature")
      queue.appendBinary(serverProof.signature)
    }
    queue.endFrame(mark)
  }

  package init(payload: RawSpan) throws(WireError) {
    var reader = MessagePackReader(payload)
    let value = try Value.decode(from: &reader)
    try reader.finish()
    guard case .map = value else { throw .malformedFrame("a HELLO is a map") }
    guard let version = value["version"]?.intValue else { throw .malformedFrame("a HELLO names its version") }
    agent = value["agent"]?.stringValue ?? "unknown"
    self.version = Int(clamping: version)
    features = value["features"]?.listValue?.compactMap(\.stringValue) ?? []
    identity = value["identity"]?.stringValue
    if let identity { try WireError.checkName(identity) }
    frameBytes = Int(clamping: max(0, value["frame_bytes"]?.intValue ?? Int64(WireLimits.frameBytes)))
    callsInFlight = Int(
      clamping: max(0, value["calls_in_flight"]?.intValue ?? Int64(WireLimits.callsPerConnection)))
    pingMilliseconds = Int(clamping: max(0, value["ping_ms"]?.intValue ?? 0))
    keepaliveMilliseconds = Int(clamping: max(0, value["keepalive_ms"]?.intValue ?? 0))
    generation = Int(clamping: max(0, value["generation"]?.intValue ?? 0))
    nonce = try Self.random(value["nonce"], "nonce")
    challenge = try Self.random(value["challenge"], "challenge")
    serverProof = try ServerProof(key: value["server_key"], signature: value["server_signature"])
  }

  private static func random(_ value: Value?, _ name: String) throws(WireError) -> [UInt8]? {
    guard let bytes = value?.bytesValue else { return nil }
    guard (Self.challengeBytes...Self.challengeBytesMax).contains(bytes.count) else {
      throw .malformedFrame(
        "a \(name) of \(bytes.count) bytes, it has \(Self.challengeBytes) to \(Self.challengeBytesMax)")
    }
    return bytes
  }

  /// Bytes of a challenge and of a nonce: too many to be met twice, and the most that the other side signs.
  package static let challengeBytes = 32
  package static let challengeBytesMax = 64
}

/// BIND: asks for the id of the procedure that takes these argument types:
/// `[service, procedure, [type…], nil | [type…]]`.
package struct Bind: Hashable, Sendable {
  package var service: String
  package var procedure: String
  /// The caller's argument types; the server picks the overload they fit best.
  package var arguments: [ValueType]
  /// The return types the caller expects, or nil when it takes what comes.
  package var returns: [ValueType]?

  package init(service: String, procedure: String, arguments: [ValueType], returns: [ValueType]? = nil) {
    self.service = service
    self.procedure = procedure
    self.arguments = arguments
    self.returns = returns
  }

  package func encode(to queue: inout ByteQueue, callID: UInt64) {
    let mark = queue.beginFrame(.bind, callID: callID)
    queue.appendListHeader(count: 4)
    queue.appendString(service)
    queue.appendString(procedure)
    queue.appendTypes(arguments)
    if let returns { queue.appendTypes(returns) } else { queue.appendNil() }
    queue.endFrame(mark)
  }

  package init(payload: RawSpan) throws(WireError) {
    var reader = MessagePackReader(payload)
    guard try reader.readListHeader() == 4 else {
      throw .malformedFrame("a BIND is a list of service, procedure, argument types and return types")
    }
    service = try reader.readName()
    procedure = try reader.readName()
    arguments = try reader.readTypes()
    if case .null = try reader.peek() {
      try reader.readNil()
      returns = nil
    } else {
      returns = try reader.readTypes()
    }
    try reader.finish()
  }
}

/// BOUND answers a BIND: `[id, [declared argument type…], [declared return type…], idempotent]`.
package struct Bound: Hashable, Sendable {
  package var procedureID: UInt32
  package var arguments: [ValueType]
  package var returns: [ValueType]
  package var idempotent: Bool

  package init(procedureID: UInt32, arguments: [ValueType], returns: [ValueType], idempotent: Bool) {
    self.procedureID = procedureID
    self.arguments = arguments
    self.returns = returns
    self.idempotent = idempotent
  }

  package func encode(to queue: inout ByteQueue, callID: UInt64) {
    let mark = queue.beginFrame(.bound, callID: callID)
    queue.appendListHeader(count: 4)
    queue.appendInt(Int64(procedureID))
    queue.appendTypes(arguments)
    queue.appendTypes(returns)
    queue.appendBool(idempotent)
    queue.endFrame(mark)
  }

  package init(payload: RawSpan) throws(WireError) {
    var reader = MessagePackReader(payload)
    guard try reader.readListHeader() == 4, let id = UInt32(exactly: try reader.readInt()) else {
      throw .malformedFrame("a BOUND is a list of id, argument types, return types and idempotent")
    }
    procedureID = id
    arguments = try reader.readTypes()
    returns = try reader.readTypes()
    idempotent = try reader.readBool()
    try reader.finish()
  }
}

/// CALL: `procedure id u32 | timeout u32 (microseconds, 0 for none) | [trace] | [metadata] | list of arguments`.
package enum CallFrame {
  /// Bytes before the optional parts.
  package static let fixedByteCount = 8
  /// Bytes of a binary W3C trace context.
  package static let traceByteCount = 26
  /// The key of the metadata under which a server says how deep its procedure's call is nested: an int, at most
  /// `WireLimits.callDepthMax`. A call without it is not nested.
  package static let depthKey = "rpc-depth"
  /// The key of the metadata under which a server says whose procedure makes the call: a string. It counts only on
  /// a connection on which the key of a server was proven.
  package static let serviceKey = "rpc-service"
  /// Keys of the metadata that servers use among themselves: neither read by procedures nor taken from other dialects.
  package static let reservedKeys: Set<String> = [depthKey, serviceKey]

  /// What a server says of a call that one of its procedures makes.
  package struct Nesting: Hashable, Sendable {
    /// How deep the call is nested in others.
    package var depth = 0
    /// The service whose procedure makes it; nil for a client's call.
    package var service: String?

    package init(depth: Int = 0, service: String? = nil) {
      self.depth = depth
      self.service = service
    }

    /// Reads what metadata says of it.
    package init(in metadata: RawSpan) throws(WireError) {
      var reader = MessagePackReader(metadata)
      let count = try reader.readMapHeader()
      for _ in 0..<count {
        switch try reader.readString() {
        case depthKey:
          let depth = try reader.readInt()
          guard depth >= 0 else { throw .malformedFrame("'\(depthKey)' is \(depth), below 0") }
          self.depth = Int(clamping: depth)
        case serviceKey: service = try reader.readString()
        default: try reader.skip()
        }
      }
    }

    package var metadata: [String: Value] {
      var metadata: [String: Value] = [depthKey: .int(Int64(depth))]
      metadata[serviceKey] = service.map(Value.string)
      return metadata
    }
  }

  /// Refuses a call that is nested too deep, so that procedures which call each other in a circle come to an end.
  package static func checkDepth(_ depth: Int, of procedure: String) throws(RPCError) {
    let limit = WireLimits.callDepthMax
    guard depth > limit else { return }
    throw RPCError(
      .resourceExhausted,
      "\(procedure) was not called: procedures may call each other \(limit) deep, and this call would be \(depth) deep (do they call each other in a circle?)",
      executed: .no, actual: depth, limit: limit, unit: .levels)
  }

  /// Starts a CALL; the caller appends the list of arguments and calls `endFrame`.
  @inlinable
  @inline(__always)
  package static func begin(
    in queue: inout ByteQueue, callID: UInt64, procedureID: UInt32, timeoutMicroseconds: UInt32,
    flags: FrameHeader.Flags = []
  ) -> Int {
    let mark = queue.beginFrame(.call, flags: flags, callID: callID)
    queue.append(littleEndian: UInt64(procedureID) | UInt64(timeoutMicroseconds) << 32)
    return mark
  }
}

/// GOAWAY: the sender takes no new calls. Calls with an id above `lastCallID` (the header's call id) were
/// not executed; the others will be answered within `drainMilliseconds`: `[reason, drain ms]`.
package struct GoAway: Hashable, Sendable {
  /// The reason of a server that was told to stop.
  package static let shutdown = "the server is shutting down"

  package var lastCallID: UInt64
  package var reason: String
  package var drainMilliseconds: Int

  package init(lastCallID: UInt64, reason: String, drainMilliseconds: Int) {
    self.lastCallID = lastCallID
    self.reason = reason
    self.drainMilliseconds = drainMilliseconds
  }

  package func encode(to queue: inout ByteQueue) {
    let mark = queue.beginFrame(.goAway, callID: lastCallID)
    queue.appendListHeader(count: 2)
    queue.appendString(reason)
    queue.appendInt(Int64(drainMilliseconds))
    queue.endFrame(mark)
  }

  package init(header: FrameHeader, payload: RawSpan) throws(WireError) {
    var reader = MessagePackReader(payload)
    guard try reader.readListHeader() == 2 else {
      throw .malformedFrame("a GOAWAY is a list of reason and drain time")
    }
    lastCallID = header.callID
    reason = try reader.readString()
    drainMilliseconds = Int(clamping: try reader.readInt())
    try reader.finish()
  }
}

extension RPCError {
  /// ERROR: a map, of which unknown keys are passed over. Call id 0 speaks of the whole connection.
  package func encode(to queue: inout ByteQueue, callID: UInt64) {
    let mark = queue.beginFrame(.error, status: code, callID: callID)
    var entries: [Value.Entry] = [
      .init("exception", .string(exception.rawValue)),
      .init("message", .string(message)),
      .init("executed", .int(Int64(executed.rawValue))),
    ]
    if let source { entries.append(.init("source", .string(source))) }
    if let retryAfterMilliseconds {
      entries.append(.init("retry_after_ms", .int(Int64(retryAfterMilliseconds))))
    }
    if let actual { entries.append(.init("actual", .int(Int64(actual)))) }
    if let limit { entries.append(.init("limit", .int(Int64(limit)))) }
    if let unit { entries.append(.init("unit", .string(unit.rawValue))) }
    Value.map(entries).encode(to: &queue)
    queue.endFrame(mark)
  }

  package init(payload: RawSpan) throws(WireError) {
    var reader = MessagePackReader(payload)
    let value = try Value.decode(from: &reader)
    try reader.finish()
    guard let name = value["exception"]?.stringValue, let message = value["message"]?.stringValue else {
      throw .malformedFrame("an ERROR is a map with exception and message")
    }
    self.init(
      // An exception that a later version added is still a failed execution to us.
      Exception(rawValue: name) ?? .executionException, message,
      executed: value["executed"]?.intValue.flatMap { UInt8(exactly: $0) }.flatMap(Executed.init) ?? .maybe,
      actual: value["actual"]?.intValue.map(Int.init(clamping:)),
      limit: value["limit"]?.intValue.map(Int.init(clamping:)),
      unit: value["unit"]?.stringValue.flatMap(Unit.init), source: value["source"]?.stringValue,
      retryAfterMilliseconds: value["retry_after_ms"]?.intValue.map(Int.init(clamping:)))
  }
}

extension ByteQueue {
  /// A frame without a payload: CANCEL, PING, PONG, GENERATION.
  package mutating func appendEmptyFrame(_ kind: FrameKind, callID: UInt64) {
    let mark = beginFrame(kind, callID: callID)
    endFrame(mark)
  }

  internal mutating func appendTypes(_ types: [ValueType]) {
    appendListHeader(count: types.count)
    for type in types { appendString(type.description) }
  }
}

extension WireError {
  internal static func checkName(_ name: String) throws(WireError) {
    guard name.utf8.count <= WireLimits.nameBytesMax else {
      throw .tooMany(what: "bytes of a name", actual: name.utf8.count, limit: WireLimits.nameBytesMax)
    }
  }
}

extension MessagePackReader {
  @_lifetime(self: copy self)
  fileprivate mutating func readName() throws(WireError) -> String {
    let name = try readString()
    try WireError.checkName(name)
    return name
  }

  @_lifetime(self: copy self)
  internal mutating func readTypes() throws(WireError) -> [ValueType] {
    let count = try readListHeader()
    guard count <= WireLimits.arityMax else {
      throw .tooMany(what: "types", actual: count, limit: WireLimits.arityMax)
    }
    var types: [ValueType] = []
    for _ in 0..<count {
      let text = try readString()
      do {
        types.append(try ValueType(parsing: text))
      } catch {
        throw .malformedFrame(error.message)
      }
    }
    return types
  }
}
