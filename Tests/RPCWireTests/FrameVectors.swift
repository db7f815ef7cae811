import RPCKeys
import RPCWire
import Testing

/// What the frames of Docs/PROTOCOL.md mean, by the names of their blocks.
enum FrameVectors {
  enum Meaning {
    case hello(Hello)
    case bind(Bind, callID: UInt64)
    case bound(Bound, callID: UInt64)
    case call(
      procedureID: UInt32, timeout: UInt32, trace: [UInt8] = [], metadata: Value? = nil, arguments: Value,
      callID: UInt64)
    case reply(Value, callID: UInt64)
    case error(RPCError, callID: UInt64)
    case empty(FrameKind, callID: UInt64)
    case goAway(GoAway)
    case proof(Proof)
  }

  static let meanings: [String: Meaning] = [
    "nonce": .hello(nonce),
    "client-hello": .hello(hello("example/1.0", identity: "c1")),
    "server-hello": .hello(hello("SimpleRPC/1.0", ping: 30_000, generation: 7)),
    "keepalive-hello": .hello(hello("example/1", keepalive: 5_000)),
    "bind-add": .bind(Bind(service: "math", procedure: "add", arguments: [.int, .int]), callID: 1),
    "bind-typed-returns": .bind(
      Bind(
        service: "text", procedure: "join", arguments: [.list(.string), .optional(.string)],
        returns: [.string]), callID: 2),
    "bound-add": .bound(
      Bound(procedureID: 7, arguments: [.int, .int], returns: [.int], idempotent: false), callID: 1),
    "call-add": .call(procedureID: 7, timeout: 0, arguments: [1, -40], callID: 2),
    "call-add-timeout": .call(procedureID: 7, timeout: 250_000, arguments: [1, 2], callID: 3),
    "call-trace-metadata": .call(
      procedureID: 7, timeout: 0,
      trace: [0] + [
        0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c,
      ] + [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31] + [1], metadata: ["tenant": "blue"],
      arguments: [1, 2], callID: 4),
    "reply-add": .reply([-39], callID: 2),
    "reply-nothing": .reply([], callID: 9),
    "reply-topology": .reply(
      [
        [
          "server": "s1", "generation": 7, "topology_digest": "5e",
          "servers": [
            ["name": "s1", "host": "10.0.0.1", "port": 8181],
            [
              "name": "s2", "host": "10.0.0.2", "port": 8181,
              "certificate": .string("sha256//\(String(repeating: "A", count: 43))="),
            ],
          ],
          "services": [["name": "math", "providers": ["s1", "s2"]]],
        ]
      ], callID: 3),
    "error-execution": .error(
      RPCError(.executionException, "division by zero", executed: .yes, source: "divide.py:3"), callID: 5),
    "error-exhausted": .error(
      RPCError(
        .resourceExhausted, "too many calls in flight", actual: 4097, limit: 4096, unit: .calls,
        retryAfterMilliseconds: 50),
      callID: 6),
    "cancel": .empty(.cancel, callID: 5),
    "ping": .empty(.ping, callID: 42),
    "pong": .empty(.pong, callID: 42),
    "go-away": .goAway(GoAway(lastCallID: 2, reason: "shutting down", drainMilliseconds: 10_000)),
    "generation": .empty(.generation, callID: 8),
    "challenge": .hello(challenge),
    "proof": .proof(proof),
    "proven": .empty(.proof, callID: 0),
  ]

  private static let nonce: Hello = {
    var hello = Self.hello("example/1.0")
    hello.features = [Feature.proof]
    hello.nonce = [UInt8](32..<64)
    return hello
  }()

  private static let challenge: Hello = {
    var hello = Self.hello("SimpleRPC/1.1.0", ping: 30_000, generation: 7)
    hello.features = [Feature.proof]
    hello.challenge = [UInt8](0..<32)
    hello.serverProof = ServerProof(of: serverKey, to: [UInt8](32..<64))
    return hello
  }()

  private static let serverKey: PrivateKey = {
    guard let key = try? PrivateKey(seed: [UInt8](repeating: 9, count: 32)) else { preconditionFailure() }
    return key
  }()

  /// Ed25519 signs the same bytes the same way, so this one is known.
  private static let proof: Proof = {
    guard let key = try? PrivateKey(seed: [UInt8](repeating: 7, count: 32)) else { preconditionFailure() }
    return Proof(
      of: key, to: [UInt8](0..<32), server: "s1", address: ([127, 0, 0, 1], 8181),
      in: ProofScope(serverKey: serverKey.publicKey.bytes))
  }()

  private static func hello(
    _ agent: String, identity: String? = nil, ping: Int = 0, keepalive: Int = 0, generation: Int = 0
  ) -> Hello {
    var hello = Hello(agent: agent, identity: identity)
    hello.pingMilliseconds = ping
    hello.keepaliveMilliseconds = keepalive
    hello.generation = generation
    return hello
  }
}

extension FrameVectors.Meaning {
  func encode(to queue: inout ByteQueue) {
    switch self {
    case .hello(let hello): hello.encode(to: &queue)
    case .bind(let bind, let callID): bind.encode(to: &queue, callID: callID)
    case .bound(let bound, let callID): bound.encode(to: &queue, callID: callID)
    case .call(let procedureID, let timeout, let trace, let metadata, let arguments, let callID):
      var flags: FrameHeader.Flags = []
      if !trace.isEmpty { flags.insert(.trace) }
      if metadata != nil { flags.insert(.metadata) }
      let mark = CallFrame.begin(
        in: &queue, callID: callID, procedureID: procedureID, timeoutMicroseconds: timeout, flags: flags)
      queue.append(trace)
      metadata?.encode(to: &queue)
      arguments.encode(to: &queue)
      queue.endFrame(mark)
    case .reply(let values, let callID):
      let mark = queue.beginFrame(.reply, callID: callID)
      values.encode(to: &queue)
      queue.endFrame(mark)
    case .error(let error, let callID): error.encode(to: &queue, callID: callID)
    case .empty(let kind, let callID): queue.appendEmptyFrame(kind, callID: callID)
    case .goAway(let goAway): goAway.encode(to: &queue)
    case .proof(let proof): proof.encode(to: &queue)
    }
  }

  func expectDecoded(from header: FrameHeader, _ payload: RawSpan) throws {
    switch self {
    case .hello(let hello):
      #expect(header.kind == FrameKind.hello.rawValue)
      #expect(try Hello(payload: payload) == hello)
    case .bind(let bind, let callID):
      #expect(header.kind == FrameKind.bind.rawValue && header.callID == callID)
      #expect(try Bind(payload: payload) == bind)
    case .bound(let bound, let callID):
      #expect(header.kind == FrameKind.bound.rawValue && header.callID == callID)
      #expect(try Bound(payload: payload) == bound)
    case .call(let procedureID, let timeout, let trace, let metadata, let arguments, let callID):
      #expect(header.kind == FrameKind.call.rawValue && header.callID == callID)
      var reader = MessagePackReader(payload)
      #expect(try reader.readFixed(UInt32.self) == procedureID)
      #expect(try reader.readFixed(UInt32.self) == timeout)
      if header.flags.contains(.trace) {
        let range = try reader.readRaw(CallFrame.traceByteCount)
        #expect(unsafe reader.slice(range).withUnsafeBytes { unsafe [UInt8]($0) } == trace)
      }
      if header.flags.contains(.metadata) { #expect(try Value.decode(from: &reader) == metadata) }
      #expect(try Value.decode(from: &reader) == arguments)
      try reader.finish()
    case .reply(let values, let callID):
      #expect(header.kind == FrameKind.reply.rawValue && header.callID == callID)
      var reader = MessagePackReader(payload)
      #expect(try Value.decode(from: &reader) == values)
      try reader.finish()
    case .error(let error, let callID):
      #expect(header.kind == FrameKind.error.rawValue && header.callID == callID)
      #expect(header.status == error.code.rawValue)
      #expect(try RPCError(payload: payload) == error)
    case .empty(let kind, let callID):
      #expect(header.kind == kind.rawValue && header.callID == callID && header.length == 0)
    case .goAway(let goAway):
      #expect(header.kind == FrameKind.goAway.rawValue)
      #expect(try GoAway(header: header, payload: payload) == goAway)
    case .proof(let proof):
      #expect(header.kind == FrameKind.proof.rawValue && header.callID == 0)
      #expect(try Proof(payload: payload) == proof)
    }
  }
}
