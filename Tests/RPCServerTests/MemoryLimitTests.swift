import RPCKeys
import RPCTransport
import RPCWire
import TestSupport
import Testing

@testable import RPCServer

@Suite("What all connections may hold together")
struct MemoryLimitTests {
  static let mebibyte = 1024 * 1024

  /// The beginning of a frame: its header, and so much of its payload.
  private static func unfinished(_ kind: FrameKind, _ count: Int) -> [UInt8] {
    var queue = ByteQueue()
    queue.append(littleEndian: UInt64(count + 1) | UInt64(kind.rawValue) << 32)
    queue.append(littleEndian: 7 as UInt64)
    return queue.copy() + [UInt8](repeating: 0xc0, count: count)
  }

  /// Has eight peers send 1 MiB each of something unfinished; returns them, and those that were refused.
  private static func eight(
    sending bytes: [UInt8], _ make: () throws -> RawPeer
  ) throws -> (all: [RawPeer], refused: [RawPeer]) {
    let peers = try (0..<8).map { _ in try make() }
    for peer in peers { peer.send(bytes) }
    return (peers, RawPeer.firstReached(of: peers))
  }

  @Test(
    "what would need more is refused with size and limit: a call alone, anything else with its connection",
    arguments: [FrameKind.call, .bind, .proof])
  func limit(kind: FrameKind) throws {
    let server = try TestServer { $0.memoryBytes = 4 * Self.mebibyte }
    let neighbour = try RawPeer.greeted(port: server.port)
    let add = try neighbour.bind("math", "add", [.int, .int])
    do {
      let (peers, refused) = try Self.eight(sending: Self.unfinished(kind, Self.mebibyte - 1)) {
        try RawPeer.greeted(port: server.port)
      }
      let peer = try #require(refused.first)
      let frame = try #require(peer.next())
      let error = try #require(frame.error)
      #expect(error.exception == .resourceExhausted && error.executed == .no)
      #expect(error.limit == 4 * Self.mebibyte)
      #expect(try #require(error.actual) > 4 * Self.mebibyte)
      #expect(error.message.contains("the limit is \(4 * Self.mebibyte)"), "\(error)")
      if kind == .proof {
        #expect(frame.header.callID == 0)
        #expect(peer.isClosed())
      } else {
        #expect(frame.header.callID == 7)
        peer.send([0])
        peer.startCall(add, [.int(2), .int(3)])
        #expect(peer.next()?.values == [5])
      }
      withExtendedLifetime(peers) {}
    }
    neighbour.startCall(add, [.int(1), .int(2)])
    #expect(neighbour.next()?.values == [3])

    // What they held is free again when they are gone: a whole frame of as much is served.
    let text = String(repeating: "x", count: Self.mebibyte)
    for _ in 0..<200 {
      let peer = try RawPeer.greeted(port: server.port)
      let echo = try peer.bind("text", "echo", [.string])
      peer.startCall(echo, [.string(text)])
      if peer.next()?.values == [.string(text)] { return }
    }
    Issue.record("the memory is not free again")
  }

  @Test(
    "a line of json that there is no memory for is refused alone, with its id where that has come",
    arguments: ["\"id\":7,", ""])
  func json(id: String) throws {
    let server = try TestServer { $0.memoryBytes = 2 * Self.mebibyte }
    func line(_ id: String, _ arguments: String) -> String {
      #"{"header":"RPC-REQ","value":{\#(id)"service":"math","rpc":"add","arguments":[\#(arguments)]}}"# + "\n"
    }
    let filler = String(repeating: "x", count: Self.mebibyte - 200)
    let parts = line(id, "\"@\"").split(separator: "@")
    var reached = try Self.eight(sending: Array((parts[0] + filler).utf8)) {
      try RawPeer(port: server.port)
    }
    let peer = try #require(reached.refused.first)
    let answer = try #require(peer.nextLine())
    #expect(answer.contains("the limit is \(2 * Self.mebibyte)") && answer.contains(#""executed":"no""#))
    #expect(answer.contains(#""id":7"#) == !id.isEmpty)
    // The rest is no line of its own, and what follows is answered as soon as the others have given their memory back.
    reached.all.removeAll()
    peer.send(Array((filler.prefix(100) + parts[1]).utf8))
    for _ in 0..<200 {
      peer.send(Array(line("\"id\":8,", "2,3").utf8))
      let answer = try #require(peer.nextLine())
      if answer == #"{"header":"RPC-RES","value":{"id":8,"return-values":[5]}}"# { return }
      #expect(answer.contains(#""id":8,"exception-type":"ResourceExhausted""#))
    }
    Issue.record("the memory is not free again")
  }

  @Test("after a line was refused no more is passed over than a line may have")
  func endlessLine() throws {
    let server = try TestServer { $0.memoryBytes = 2 * Self.mebibyte }
    let start = Array("{\"".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: Self.mebibyte - 100)
    let (peers, refused) = try Self.eight(sending: start) { try RawPeer(port: server.port) }
    let peer = try #require(refused.first)
    #expect(peer.nextLine()?.contains("the limit is \(2 * Self.mebibyte)") == true)
    peer.send([UInt8](repeating: UInt8(ascii: "x"), count: 1000))
    #expect(peer.nextLine()?.contains("a line is longer than the limit of \(Self.mebibyte) bytes") == true)
    #expect(peer.isClosed())
    withExtendedLifetime(peers) {}
  }

  @Test("peers that nobody knows share a quarter, one that proves a key has the rest")
  func strangers() throws {
    let directory = TemporaryDirectory()
    let key = try PrivateKey(seed: [UInt8](repeating: 3, count: 32))
    try directory.write("\(key.publicKey)\n", to: "deployers")
    let server = try TestServer {
      $0.memoryBytes = 16 * Self.mebibyte
      $0.deployersFile = "\(directory.path)/deployers"
    }
    let (strangers, refused) = try Self.eight(sending: Self.unfinished(.call, Self.mebibyte - 1)) {
      try RawPeer.greeted(port: server.port)
    }
    let refusal = refused.first?.next()?.error
    #expect(refusal?.limit == 4 * Self.mebibyte)
    #expect(refusal?.message.contains("unknown peers") == true)

    let known = try RawPeer.greeted(by: server, proving: key)
    let echo = try known.bind("text", "echo", [.string])
    let text = String(repeating: "x", count: 2 * Self.mebibyte)
    known.startCall(echo, [.string(text)])
    #expect(known.next()?.values == [.string(text)])
    withExtendedLifetime(strangers) {}
  }

  enum Key { case none, unregistered, deployer }

  @Test(
    "unknown are those whose address and key nobody declared, wherever anybody can be known",
    arguments: [Key.none, .unregistered, .deployer], [true, false])
  func unknown(key: Key, takesDeployments: Bool) throws {
    let directory = TemporaryDirectory()
    let deployer = try PrivateKey(seed: [UInt8](repeating: 3, count: 32))
    try directory.write("\(deployer.publicKey)\n", to: "deployers")
    let server = try TestServer {
      $0.memoryBytes = 16 * Self.mebibyte
      // What has no data directory and no deployers' file takes no deployments, so no client can be declared.
      if takesDeployments { $0.dataDirectory = "\(directory.path)/data" }
      if key == .deployer { $0.deployersFile = "\(directory.path)/deployers" }
    }
    let peer =
      switch key {
      case .none: try RawPeer.greeted(port: server.port)
      case .unregistered: try RawPeer.greeted(by: server, proving: .random())
      case .deployer: try RawPeer.greeted(by: server, proving: deployer)
      }
    let echo = try peer.bind("data", "echo", [.bytes])
    peer.startCall(echo, [.bytes([UInt8](repeating: 1, count: 5 * Self.mebibyte))])
    let frame = try #require(peer.next())
    if takesDeployments, key != .deployer {
      #expect(frame.error?.limit == 4 * Self.mebibyte)
      #expect(frame.error?.message.contains("unknown peers") == true)
    } else {
      #expect(frame.kind == .reply)
    }
  }

  /// Has calls that wait for the gate hold all memory but less than what the shortest of them takes; returns how many.
  private static func fill(_ peer: RawPeer) throws -> Int {
    let keep = try peer.bind("test", "keep", [.bytes])
    var held = 0
    for size in [65_536, 4096, 300] {
      while true {
        let id = peer.startCall(keep, [.bytes([UInt8](repeating: 1, count: size))])
        peer.send { $0.appendEmptyFrame(.ping, callID: 0) }
        let frame = try #require(peer.next())
        if frame.kind == .pong {
          held += 1
          continue
        }
        #expect(frame.header.callID == id && frame.error?.exception == .resourceExhausted)
        #expect(peer.next()?.kind == .pong)
        break
      }
    }
    return held
  }

  @Test(
    "a call that what is in flight leaves no memory for is refused alone, wherever its frame is cut",
    arguments: [0, 1, 15, 16, 17, 24, 255, 256, 257, 40_000, 299_999, 300_000])
  func cut(at place: Int) async throws {
    let server = try TestServer { $0.memoryBytes = Self.mebibyte }
    let peer = try RawPeer.greeted(port: server.port)
    let add = try peer.bind("math", "add", [.int, .int])
    let held = try Self.fill(peer)
    #expect(held > 0)

    let id = peer.takeCallID()
    let echo = RawPeer.call(0, [.bytes([UInt8](repeating: 1, count: 300_000))], callID: id)
    // The PONG tells that the server has read the beginning too: both come in one piece.
    peer.send { queue in
      queue.appendEmptyFrame(.ping, callID: 0)
      queue.append(Array(echo[..<place]))
    }
    #expect(peer.next()?.kind == .pong)
    peer.send(Array(echo[place...]))
    let refused = try #require(peer.next())
    #expect(refused.header.callID == id)
    #expect(refused.error?.exception == .resourceExhausted && refused.error?.executed == .no)
    #expect(refused.error?.limit == Self.mebibyte)

    // What comes behind it is served, short frames that come in pieces too, and nothing in flight is lost.
    for place in [1, 16, 20] {
      let id = peer.takeCallID()
      let short = RawPeer.call(add, [.int(1), .int(2)], callID: id)
      peer.send { queue in
        queue.appendEmptyFrame(.ping, callID: 0)
        queue.append(Array(short[..<place]))
      }
      #expect(peer.next()?.kind == .pong)
      peer.send(Array(short[place...]))
      let frame = peer.next()
      #expect(frame?.header.callID == id && frame?.values == [3])
    }
    await server.gate.reached(waiting: held)
    server.gate.open()
    for _ in 0..<held { #expect(await peer.nextFromTask()?.kind == .reply) }
    let bytes = Value.bytes([UInt8](repeating: 1, count: 300_000))
    peer.startCall(try peer.bind("data", "echo", [.bytes]), [bytes])
    #expect(await peer.nextFromTask()?.values == [bytes])
  }

  @Test("behind a filter too a call that there is no memory for is refused alone", arguments: [1, 7, 50_000])
  func filtered(chunk: Int) throws {
    let filter = FilterEntry { first in
      first.withUnsafeBytes { $0[0] == RecordFilter.greeting[0] } ? .yes : .no
    } make: {
      RecordFilter()
    }
    let server = try TestServer {
      $0.memoryBytes = Self.mebibyte
      $0.filters = [filter]
    }
    let neighbour = try RawPeer.greeted(port: server.port)
    #expect(try Self.fill(neighbour) > 0)

    let peer = try RawPeer(port: server.port)
    let call = RawPeer.call(0, [.bytes([UInt8](repeating: 1, count: 100_000))], callID: 7)
    var ping = ByteQueue()
    ping.appendEmptyFrame(.ping, callID: 0)
    let wire = RecordFilter.encoded(RawPeer.greeting + call + ping.copy(), size: 900)
    // The beginning in small pieces.
    for start in stride(from: 0, to: 300, by: chunk) {
      peer.send(Array(wire[start..<min(start + chunk, 300)]))
    }
    peer.send(Array(wire[300...]))
    peer.endSending()
    let plain = try #require(RecordFilter.decoded(peer.everything())).bytes
    var frames: [(kind: UInt8, id: UInt64)] = []
    var offset = 0
    while let header = FrameHeader(plain.span.bytes, at: offset) {
      frames.append((header.kind, header.callID))
      offset += FrameHeader.byteCount + Int(header.length)
    }
    #expect(frames.map(\.kind) == [FrameKind.hello, .error, .pong].map(\.rawValue))
    #expect(frames.map(\.id) == [0, 7, 0])
  }

  @Test("however many calls come at once, each is answered by itself")
  func calls() async throws {
    let server = try TestServer { $0.memoryBytes = 4 * Self.mebibyte }
    let peer = try RawPeer.greeted(port: server.port)
    let keep = try peer.bind("test", "keep", [.bytes])
    let bytes = Value.bytes([UInt8](repeating: 1, count: Self.mebibyte - 100))
    var waiting = Set((0..<8).map { _ in peer.startCall(keep, [bytes]) })
    // The others wait for the gate: what is answered first was refused.
    let refused = try #require(await peer.nextFromTask())
    #expect(waiting.remove(refused.header.callID) != nil)
    #expect(refused.error?.exception == .resourceExhausted && refused.error?.limit == 4 * Self.mebibyte)
    server.gate.open()
    var served = 0
    while !waiting.isEmpty {
      let frame = try #require(await peer.nextFromTask())
      #expect(waiting.remove(frame.header.callID) != nil)
      if frame.values == [.int(Int64(Self.mebibyte - 100))] { served += 1 }
    }
    #expect(served > 0)
    peer.startCall(keep, [bytes])
    #expect(await peer.nextFromTask()?.kind == .reply)
  }
}
