import RPCServer
import RPCWire
import Testing

@Suite("Peers that break the protocol, one rule at a time")
struct StrictnessTests {
  /// What a peer says, and what it is told. `before` stands in front of everything else it says.
  struct Breach: Sendable, CustomTestStringConvertible {
    var name: String
    var isGreeted = true
    var bytes: [UInt8]
    var exception: RPCError.Exception = .protocolError
    var says = ""
    var testDescription: String { name }
  }

  private static let text = Array("x".utf8)

  /// A CALL of `math.add`, procedure 12 or whatever it is: none of these gets that far.
  private static func call(_ flags: UInt8, _ rest: [UInt8]) -> [UInt8] {
    frame(FrameKind.call.rawValue, flags: flags, payload: [0, 0, 0, 0, 0, 0, 0, 0] + rest)
  }

  private static func bind(_ name: String, _ types: [String]) -> [UInt8] {
    frame(
      FrameKind.bind.rawValue,
      payload: Value.list([.string(name), "x", .list(types.map { .string($0) }), .null]).messagePack)
  }

  static let breaches: [Breach] =
    // The right frames in the wrong order.
    [FrameKind.bind, .bound, .call, .reply, .error, .cancel, .ping, .pong, .goAway, .generation, .proof].map {
      Breach(
        name: "\($0) before HELLO", isGreeted: false, bytes: Preface.bytes + frame($0.rawValue),
        says: "the first frame must be a HELLO")
    } + [
      Breach(name: "HELLO twice", bytes: Array(RawPeer.greeting.dropFirst(8)), says: "a second HELLO"),
      Breach(name: "the preface twice", bytes: RawPeer.greeting, exception: .resourceExhausted),
    ]
    // Kinds that only a server sends, and kinds that nobody knows.
    + [FrameKind.bound, .reply, .error, .generation].map {
      Breach(name: "\($0) from a client", bytes: frame($0.rawValue), says: "a client does not send")
    }
    + [0, 13, 14, 100, 127, 128, 200, 255].map {
      Breach(name: "kind \($0)", bytes: frame($0), says: "frame kind \($0) is unknown")
    }
    // Frames without a payload that have one, and others that have none.
    + [FrameKind.ping, .pong, .cancel].map {
      Breach(name: "a \($0) with a payload", bytes: frame($0.rawValue, payload: [1]), says: "no payload")
    }
    + [FrameKind.bind, .call, .goAway, .proof].map {
      Breach(name: "a \($0) without a payload", bytes: frame($0.rawValue))
    }
    + [
      Breach(name: "GOAWAY that is not a list", bytes: frame(FrameKind.goAway.rawValue, payload: [0x80])),
      Breach(
        name: "HELLO that is not a map", isGreeted: false, bytes: Preface.bytes + frame(1, payload: [0x90])),
      Breach(
        name: "HELLO without a version", isGreeted: false, bytes: Preface.bytes + frame(1, payload: [0x80])),
      Breach(
        name: "HELLO of version 2", isGreeted: false,
        bytes: Preface.bytes + frame(1, payload: Value.map([.init("version", 2)]).messagePack),
        says: "version 2"),
      Breach(
        name: "HELLO with a name of 129 bytes", isGreeted: false,
        bytes: Preface.bytes
          + frame(
            1,
            payload: Value.map([
              .init("version", 1), .init("identity", .string(String(repeating: "x", count: 129))),
            ]).messagePack),
        says: "129 bytes of a name, the limit is 128"),
    ]
    // The fixed fields of a CALL, its flags, and what they announce.
    + (1..<8).map {
      Breach(name: "a CALL of \($0) bytes", bytes: frame(4, payload: [UInt8](repeating: 0, count: $0)))
    }
    + [8, 16, 32, 64, 128].map {
      Breach(name: "flag \($0)", bytes: call($0, [0x90]), says: "unknown flags")
    }
    + [
      Breach(name: "a trace context cut off", bytes: call(2, [UInt8](repeating: 0, count: 25))),
      Breach(name: "metadata that is a list", bytes: call(1, [0x90, 0x90])),
      Breach(name: "metadata cut off", bytes: call(1, [0x81, 0xa1, 0x61])),
      Breach(
        name: "metadata of 8193 bytes",
        bytes: call(
          1, Value.map([.init("k", .string(String(repeating: "x", count: 8193 - 6)))]).messagePack + [0x90]),
        says: "8193 bytes of metadata, the limit is 8192"),
      // BIND.
      Breach(name: "a BIND of three", bytes: frame(2, payload: Value.list(["a", "b", []]).messagePack)),
      Breach(
        name: "a service of 129 bytes", bytes: bind(String(repeating: "x", count: 129), []),
        says: "limit is 128"),
      Breach(
        name: "65 parameters", bytes: bind("math", [String](repeating: "int", count: 65)),
        says: "65 types, the limit is 64"),
      Breach(name: "a type that is none", bytes: bind("math", ["integer"]), says: "integer"),
      Breach(
        name: "a type of 1025 bytes", bytes: bind("math", ["int" + String(repeating: " ", count: 1022)]),
        says: "1025 bytes, the limit is 1024"),
      // Ids.
      Breach(
        name: "a BIND with the id 0",
        bytes: frame(2, payload: Value.list(["a", "b", [], .null]).messagePack, callID: 0), says: "above 0"),
      Breach(
        name: "a CALL with the id 0", bytes: frame(4, payload: [0, 0, 0, 0, 0, 0, 0, 0, 0x90], callID: 0),
        says: "above 0"),
      // Lengths that no frame may have.
      Breach(
        name: "a payload of 16 MiB and one byte", bytes: frame(4, length: UInt32(WireLimits.frameBytes) + 1),
        exception: .resourceExhausted),
      Breach(name: "a payload of 4 GiB", bytes: frame(4, length: .max), exception: .resourceExhausted),
      Breach(
        name: "a HELLO of 4097 bytes", isGreeted: false, bytes: Preface.bytes + frame(1, length: 4097),
        exception: .resourceExhausted),
    ]

  static let server = Result { try TestServer { $0.loops = 1 } }

  @Test(
    "one error says how, then comes the end; nothing behind it is looked at, nobody else notices",
    arguments: breaches)
  func breach(_ breach: Breach) throws {
    let server = try Self.server.get()
    let neighbour = try Neighbour(port: server.port)
    let peer = try breach.isGreeted ? RawPeer.greeted(port: server.port) : RawPeer(port: server.port)
    // What follows in the same write would have been answered, each by a frame.
    let behind = encoded {
      for id in 1000..<1010 { $0.appendEmptyFrame(.ping, callID: UInt64(id)) }
    }
    peer.send(breach.bytes + behind)
    let answer = peer.next()
    #expect(answer?.kind == .error)
    #expect(answer?.header.callID == 0)
    #expect(answer?.error?.exception == breach.exception)
    #expect(answer?.error?.executed == .no)
    #expect(answer?.error?.message.contains(breach.says) == true, "\(answer?.error?.message ?? "")")
    #expect(peer.next() == nil)
    #expect(peer.ended)
    #expect(neighbour.wasLeftAlone())
  }

  @Test("just within the bounds nothing is wrong")
  func within() throws {
    let server = try Self.server.get()
    // A HELLO of exactly 4096 bytes.
    let longest = try RawPeer(port: server.port)
    var hello = Value.map([
      .init("version", 1), .init("identity", .string(String(repeating: "i", count: 128))),
      .init("padding", ""),
    ])
    let padding = 4096 - hello.messagePack.count - 2
    hello = .map([
      .init("version", 1), .init("identity", .string(String(repeating: "i", count: 128))),
      .init("padding", .string(String(repeating: "x", count: padding))),
    ])
    #expect(hello.messagePack.count == 4096)
    longest.send(Preface.bytes + frame(1, payload: hello.messagePack))
    #expect(longest.next()?.kind == .hello)

    let peer = try RawPeer.greeted(port: server.port)
    for (service, types) in [
      (String(repeating: "x", count: 128), []), ("math", [String](repeating: "int", count: 64)),
      ("math", ["int" + String(repeating: " ", count: 1021)]),
    ] {
      peer.send(Self.bind(service, types))
      // Not to be found, but well said.
      #expect(peer.next()?.error?.executed == .no)
    }
    let add = try peer.bind("math", "add", [.int, .int])
    let metadata = Value.map([.init("k", .string(String(repeating: "x", count: 8192 - 6)))]).messagePack
    #expect(metadata.count == 8192)
    peer.send(
      frame(
        4, flags: 7,
        payload: withUnsafeBytes(of: UInt64(add).littleEndian) { Array($0) }
          + [UInt8](repeating: 7, count: 26) + metadata + Value.list([1, 2]).messagePack, callID: 500))
    #expect(peer.next()?.values == [3])
    peer.send { $0.appendEmptyFrame(.pong, callID: 9) }
    peer.send { $0.appendEmptyFrame(.cancel, callID: 9) }
    peer.send(RawPeer.call(add, [3, 4], callID: 501))
    #expect(peer.next()?.values == [7])
  }

  @Test(
    "arguments that are wrong cost their call alone",
    arguments: [
      ("no list", [0xc0]), ("a map", [0x80]), ("too few", [0x91, 1]), ("too many", [0x93, 1, 2, 3]),
      ("a wrong type", [0x92, 1, 0xa1, 0x61]), ("cut off", [0x92, 1]),
      ("a lying count", [0xdd, 0xff, 0xff, 0xff, 0xff]),
      ("a lying length", [0x92, 1, 0xdb, 0xff, 0xff, 0xff, 0xff]), ("an extension", [0x92, 1, 0xd4, 1, 0]),
      ("something behind them", [0x92, 1, 2, 3]), ("nothing", []),
      ("an integer too large", [0x92, 1, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ] as [(String, [UInt8])])
  func badArguments(name: String, arguments: [UInt8]) throws {
    let server = try Self.server.get()
    let peer = try RawPeer.greeted(port: server.port)
    let add = try peer.bind("math", "add", [.int, .int])
    for procedure in [add, try peer.bind("data", "echo", [.bytes])] {
      peer.send(
        frame(
          4, payload: withUnsafeBytes(of: UInt64(procedure).littleEndian) { Array($0) } + arguments,
          callID: 70))
      let answer = peer.next()
      #expect(answer?.header.callID == 70, "\(name)")
      #expect(answer?.error?.exception == .invalidArguments, "\(name)")
      #expect(answer?.error?.executed == .no)
    }
    peer.send(RawPeer.call(add, [3, 4], callID: 71))
    #expect(peer.next()?.values == [7])
  }

  @Test(
    "an argument nests as deep as it may, and no deeper", arguments: [(64, true), (65, false), (5000, false)])
  func nesting(depth: Int, fits: Bool) throws {
    let server = try Self.server.get()
    let peer = try RawPeer.greeted(port: server.port)
    let echo = try peer.bind("any", "echo", [.any])
    // The list of arguments itself is not a level.
    let argument = [UInt8](repeating: 0x91, count: depth) + [1]
    peer.send(
      frame(
        4, payload: withUnsafeBytes(of: UInt64(echo).littleEndian) { Array($0) } + [0x91] + argument,
        callID: 7))
    let answer = peer.next()
    #expect(answer?.header.callID == 7)
    #expect(answer?.error?.exception == (fits ? nil : .invalidArguments))
    if fits { #expect(answer?.payload == [0x91] + argument) }
  }

  // MARK: Ids

  @Test("the id of a call in flight is taken, however quick the second call would be")
  func duplicateID() async throws {
    let server = try TestServer { $0.loops = 1 }
    let neighbour = try Neighbour(port: server.port)
    let peer = try RawPeer.greeted(port: server.port)
    let wait = try peer.bind("test", "wait", [])
    let add = try peer.bind("math", "add", [.int, .int])
    peer.send(RawPeer.call(wait, [], callID: 50))
    await server.gate.reached(waiting: 1)
    peer.send(RawPeer.call(add, [1, 2], callID: 50) + RawPeer.call(add, [1, 2], callID: 51))
    let answer = await peer.nextFromTask()
    #expect(answer?.header.callID == 0)
    #expect(answer?.error?.message == "the call id 50 is in flight already")
    #expect(peer.next() == nil)
    #expect(peer.ended)
    await server.gate.reached(waiting: 0, cancelled: 1)
    #expect(neighbour.wasLeftAlone())
  }

  @Test("an id may be used again once its call is answered")
  func idAgain() throws {
    let server = try Self.server.get()
    let peer = try RawPeer.greeted(port: server.port)
    let add = try peer.bind("math", "add", [.int, .int])
    for sum in 1...3 {
      peer.send(RawPeer.call(add, [.int(Int64(sum)), 0], callID: 50))
      #expect(peer.next()?.values == [.int(Int64(sum))])
    }
  }
}
