import RPCSystem
import RPCTransport
import Testing

@testable import RPCServer

@Suite("The native dialect, from outside")
struct ConformanceTests {
  // MARK: Good behaviour

  @Test("calls are answered, whatever the cut between two writes")
  func splitAnywhere() throws {
    let server = try TestServer()
    var bytes = RawPeer.greeting
    var queue = ByteQueue()
    Bind(service: "math", procedure: "add", arguments: [.int, .int]).encode(to: &queue, callID: 1)
    bytes += queue.copy()
    let probe = try RawPeer.greeted(port: server.port)
    let add = try probe.bind("math", "add", [.int, .int])
    bytes += RawPeer.call(add, [20, 22], callID: 2)
    for cut in 0...bytes.count {
      let peer = try RawPeer(port: server.port)
      peer.send(Array(bytes[..<cut]))
      peer.send(Array(bytes[cut...]))
      #expect(peer.next()?.kind == .hello)
      #expect(peer.next()?.kind == .bound)
      #expect(peer.next()?.values == [42], "cut at \(cut)")
    }
  }

  @Test("a byte at a time is as good as all at once")
  func byteByByte() throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    for byte in RawPeer.greeting { peer.send([byte]) }
    #expect(peer.next()?.kind == .hello)
    let add = try peer.bind("math", "add", [.int, .int])
    for byte in RawPeer.call(add, [1, 2], callID: 9) { peer.send([byte]) }
    #expect(peer.next()?.values == [3])
  }

  @Test("many calls in one write are answered each, once")
  func pipelined() throws {
    let server = try TestServer()
    let peer = try RawPeer.greeted(port: server.port)
    let add = try peer.bind("math", "add", [.int, .int])
    var bytes: [UInt8] = []
    for id in 1...5000 { bytes += RawPeer.call(add, [.int(Int64(id)), 1], callID: UInt64(id) + 10) }
    peer.send(bytes)
    var answers: [UInt64: Value] = [:]
    for _ in 1...5000 {
      let frame = try #require(peer.next())
      answers[frame.header.callID] = frame.values?.first
    }
    #expect(answers.count == 5000)
    #expect(answers.allSatisfy { $0.value == .int(Int64($0.key) - 9) })
  }

  @Test("replies come in any order: a call that waits delays no other")
  func anyOrder() async throws {
    let server = try TestServer()
    let peer = try RawPeer.greeted(port: server.port)
    let wait = try peer.bind("test", "wait", [])
    let add = try peer.bind("math", "add", [.int, .int])
    let slow = peer.startCall(wait, [])
    let quick = peer.startCall(add, [1, 1])
    #expect(await peer.nextFromTask()?.header.callID == quick)
    server.gate.open()
    let answer = await peer.nextFromTask()
    #expect(answer?.header.callID == slow)
    #expect(answer?.values == ["opened"])
  }

  // MARK: Time and cancellation

  @Test("a deadline ends the call, and the work behind it")
  func deadline() async throws {
    let server = try TestServer()
    let peer = try RawPeer.greeted(port: server.port)
    let wait = try peer.bind("test", "wait", [])
    peer.startCall(wait, [], timeoutMicroseconds: 20_000)
    let error = try #require(await peer.nextFromTask()?.error)
    #expect(error.exception == .deadlineExceeded)
    #expect(error.executed == .maybe)
    await server.gate.reached(waiting: 0, cancelled: 1)
  }

  @Test("CANCEL ends the call, and the work behind it; a second one is nothing")
  func cancel() async throws {
    let server = try TestServer()
    let peer = try RawPeer.greeted(port: server.port)
    let wait = try peer.bind("test", "wait", [])
    let id = peer.startCall(wait, [])
    await server.gate.reached(waiting: 1)
    for _ in 0..<3 { peer.send { $0.appendEmptyFrame(.cancel, callID: id) } }
    #expect(await peer.nextFromTask()?.error?.exception == .cancelled)
    await server.gate.reached(waiting: 0, cancelled: 1)
    peer.send { $0.appendEmptyFrame(.ping, callID: 77) }
    let pong = await peer.nextFromTask()
    #expect(pong?.kind == .pong)
    #expect(pong?.header.callID == 77)
  }

  @Test("a peer that leaves takes its calls with it")
  func disconnect() async throws {
    let server = try TestServer()
    do {
      let peer = try RawPeer.greeted(port: server.port)
      let wait = try peer.bind("test", "wait", [])
      peer.startCall(wait, [])
      peer.startCall(wait, [])
      await server.gate.reached(waiting: 2)
    }
    await server.gate.reached(waiting: 0, cancelled: 2)
  }

  // MARK: Errors of callers

  @Test("each exception says what would be right")
  func exceptions() throws {
    let server = try TestServer()
    let peer = try RawPeer.greeted(port: server.port)
    #expect(
      throws: RPCError(
        .serviceNotFound, "this server does not provide the service 'maths'; did you mean 'math'?")
    ) {
      try peer.bind("maths", "add", [.int, .int])
    }
    #expect(throws: RPCError(.rpcNotFound, "the service 'math' has no procedure 'ad'; did you mean 'add'?")) {
      try peer.bind("math", "ad", [.int, .int])
    }
    let wrongType = RPCError(
      .invalidArguments,
      "wrong type of argument 1: expected int, found str; valid:\n  math.add(int, int) -> int"
    )
    #expect(throws: wrongType) { try peer.bind("math", "add", [.string, .int]) }
    let raise = try peer.bind("test", "raise", [])
    peer.startCall(raise, [])
    #expect(peer.next()?.error == RPCError(.executionException, "no, and no again", executed: .yes))
    let add = try peer.bind("math", "add", [.int, .int])
    peer.startCall(add, ["1", 2])
    #expect(peer.next()?.error?.exception == .invalidArguments)
    peer.startCall(9999, [])
    #expect(peer.next()?.error?.exception == .staleBinding)
    peer.startCall(add, [1, 2])
    #expect(peer.next()?.values == [3])
  }

  // MARK: Peers that break the protocol

  static let violations: [(name: String, bytes: [UInt8])] = {
    func frame(_ kind: UInt8, length: UInt32? = nil, payload: [UInt8] = [], callID: UInt64 = 1) -> [UInt8] {
      var queue = ByteQueue()
      queue.append(littleEndian: length ?? UInt32(payload.count))
      queue.append(kind)
      queue.append(0 as UInt8)
      queue.append(littleEndian: 0 as UInt16)
      queue.append(littleEndian: callID)
      queue.append(payload)
      return queue.copy()
    }
    return [
      ("an unknown kind", frame(99)),
      ("kind 0", frame(0)),
      (
        "a second HELLO",
        frame(FrameKind.hello.rawValue, payload: [0x81, 0xa7] + Array("version".utf8) + [1])
      ),
      ("a REPLY from a client", frame(FrameKind.reply.rawValue)),
      ("a BOUND from a client", frame(FrameKind.bound.rawValue)),
      ("an ERROR from a client", frame(FrameKind.error.rawValue)),
      ("a GENERATION from a client", frame(FrameKind.generation.rawValue)),
      ("a frame above the limit", frame(FrameKind.call.rawValue, length: .max)),
      (
        "a frame just above the limit",
        frame(FrameKind.call.rawValue, length: UInt32(WireLimits.frameBytes) + 1)
      ),
      ("a CALL too short for its fields", frame(FrameKind.call.rawValue, payload: [1, 2, 3])),
      ("a BIND of rubbish", frame(FrameKind.bind.rawValue, payload: [0xc1, 0xff])),
      (
        "a BIND with trailing bytes",
        frame(FrameKind.bind.rawValue, payload: [0x94, 0xa1, 0x61, 0xa1, 0x62, 0x90, 0xc0, 0x00])
      ),
      ("a PING with a payload", frame(FrameKind.ping.rawValue, payload: [1])),
      ("a CANCEL with a payload", frame(FrameKind.cancel.rawValue, payload: [1])),
    ]
  }()

  @Test(
    "a violation gets one error that says what, then the end; neighbours go on", arguments: violations.indices
  )
  func violation(index: Int) throws {
    let server = try TestServer { $0.loops = 1 }
    let neighbour = try RawPeer.greeted(port: server.port)
    let add = try neighbour.bind("math", "add", [.int, .int])
    let peer = try RawPeer.greeted(port: server.port)
    peer.send(Self.violations[index].bytes)
    let frame = peer.next()
    #expect(frame?.kind == .error, "\(Self.violations[index].name)")
    #expect(frame?.header.callID == 0)
    #expect(frame?.error?.message.isEmpty == false)
    #expect(peer.isClosed())
    neighbour.startCall(add, [2, 3])
    #expect(neighbour.next()?.values == [5])
  }

  @Test("a call id that is in flight already is a violation")
  func duplicateID() async throws {
    let server = try TestServer()
    let peer = try RawPeer.greeted(port: server.port)
    let wait = try peer.bind("test", "wait", [])
    peer.send(RawPeer.call(wait, [], callID: 50))
    await server.gate.reached(waiting: 1)
    peer.send(RawPeer.call(wait, [], callID: 50))
    let error = await peer.nextFromTask()
    #expect(error?.header.callID == 0)
    #expect(error?.error?.message.contains("50") == true)
    #expect(peer.isClosed())
    await server.gate.reached(waiting: 0, cancelled: 1)
  }

  @Test("what is not a HELLO, or of another version, is refused at the door")
  func badGreetings() throws {
    let server = try TestServer()
    let wrongOrder = try RawPeer(port: server.port)
    wrongOrder.send(Preface.bytes)
    wrongOrder.send { $0.appendEmptyFrame(.ping, callID: 1) }
    #expect(wrongOrder.next()?.error?.exception == .protocolError)
    #expect(wrongOrder.isClosed())

    let future = try RawPeer(port: server.port)
    future.send(Preface.bytes)
    future.send { queue in
      var hello = Hello(agent: "test")
      hello.version = 2
      hello.encode(to: &queue)
    }
    #expect(future.next()?.error?.message.contains("version 2") == true)

    let large = try RawPeer(port: server.port)
    large.send(Preface.bytes)
    large.send {
      $0.append(littleEndian: UInt64(FrameKind.hello.rawValue) << 32 | UInt64(WireLimits.helloBytesMax + 1))
    }
    large.send { $0.append(littleEndian: 0 as UInt64) }
    let error = large.next()?.error
    #expect(error?.actual == WireLimits.helloBytesMax + 1)
    #expect(error?.limit == WireLimits.helloBytesMax)
  }

  @Test(
    "rubbish gets one json line and the end",
    arguments: [
      "EHLO a\r\n\r\n", "\u{16}\u{3}\u{1}", "\u{0}\u{0}\u{0}\u{0}",
    ])
  func rubbish(text: String) throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    peer.send(Array(text.utf8))
    let line = try #require(peer.nextLine())
    #expect(line.hasPrefix(#"{"header":"RPC-EX""#))
    #expect(peer.isClosed())
  }

  // MARK: The end

  @Test("draining: GOAWAY, new calls refused as not executed, those in flight answered, then the end")
  func drain() async throws {
    let server = try TestServer()
    let peer = try RawPeer.greeted(port: server.port)
    let wait = try peer.bind("test", "wait", [])
    let add = try peer.bind("math", "add", [.int, .int])
    let slow = peer.startCall(wait, [])
    await server.gate.reached(waiting: 1)
    server.server.beginStopping()
    let goAway = try #require(await peer.nextFromTask())
    #expect(goAway.kind == .goAway)
    #expect(goAway.header.callID == slow)
    peer.startCall(add, [1, 1])
    let refused = await peer.nextFromTask()?.error
    #expect(refused?.exception == .unavailable)
    #expect(refused?.executed == .no)
    server.gate.open()
    let answer = await peer.nextFromTask()
    #expect(answer?.header.callID == slow)
    #expect(answer?.values == ["opened"])
    #expect(peer.isClosed())
    server.server.waitUntilStopped()
    #expect(throws: SystemError.self) { try RawPeer.greeted(port: server.port) }
  }
}
