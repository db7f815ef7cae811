import RPCSystem
import RPCTransport
import RPCWire
import TestSupport
import Testing

@testable import RPCServer

/// What nghttp2 leaves open, and what it must close: the peer is told to calm down, and a neighbour's calls all succeed.
@Suite("Hostile HTTP/2")
struct GRPCHostileTests {
  private static let calm: UInt32 = 11

  /// Sends `bytes` over and over, until the server ends the connection.
  private func flood(
    _ server: TestServer, times: Int, _ begin: (HTTP2Peer) -> [UInt8] = { _ in [] }, _ bytes: (Int) -> [UInt8]
  ) throws -> HTTP2Peer.Frame? {
    let neighbour = try HTTP2Peer(port: server.port)
    let peer = try HTTP2Peer(port: server.port)
    #expect(neighbour.call("/math/add", HTTP2Peer.add(1, 2)).status == 0)
    peer.socket.send(begin(peer))
    for batch in 0..<times / 500 {
      guard peer.socket.send((0..<500).flatMap { bytes(batch * 500 + $0) }) else { break }
    }
    let end = peer.goAway()
    #expect(peer.socket.isClosed())
    #expect(neighbour.call("/math/add", HTTP2Peer.add(1, 2)).status == 0)
    return end
  }

  @Test("requests that are reset at once, without end")
  func rapidReset() throws {
    let server = try TestServer()
    let block = HTTP2Peer.block(HTTP2Peer.head("/test/wait"))
    let end = try flood(server, times: 10_000) { index in
      let stream = UInt32(index * 2 + 1)
      return HTTP2Peer.frame(1, 5, stream, block) + HTTP2Peer.reset(stream)
    }
    #expect(end != nil)
  }

  /// Frames that are errors of their stream, so that the server resets it (RFC 9113, section 5.4.2).
  private static let mistakes: [(String, @Sendable (UInt32) -> [UInt8])] = [
    ("a window that overflows", { HTTP2Peer.frame(8, 0, $0, HTTP2Peer.number(0x7fff_ffff)) }),
    ("a window that grows by nothing", { HTTP2Peer.frame(8, 0, $0, HTTP2Peer.number(0)) }),
    ("a stream that depends on itself", { HTTP2Peer.frame(2, 0, $0, HTTP2Peer.number($0) + [0]) }),
    ("DATA behind the end", { HTTP2Peer.frame(0, 1, $0, [0]) + HTTP2Peer.frame(0, 1, $0, [0]) }),
    (
      "HEADERS behind the end",
      { HTTP2Peer.frame(0, 1, $0, [0]) + HTTP2Peer.frame(1, 5, $0, HTTP2Peer.block([("x", "y")])) }
    ),
    ("trailers that are no end", { HTTP2Peer.frame(1, 4, $0, HTTP2Peer.block([("x", "y")])) }),
    ("a field that is none", { HTTP2Peer.frame(1, 5, $0, HTTP2Peer.block([("X", "y")])) }),
  ]

  @Test("mistakes that make the server reset streams, without end", arguments: mistakes.indices)
  func madeYouReset(index: Int) throws {
    let server = try TestServer()
    let (name, mistake) = Self.mistakes[index]
    let block = HTTP2Peer.block(HTTP2Peer.head("/math/add"))
    let end = try flood(server, times: 10_000) { index in
      let stream = UInt32(index * 2 + 1)
      return HTTP2Peer.frame(1, 4, stream, block) + mistake(stream)
    }
    // What is an error of the whole connection for nghttp2 has ended it with the first.
    #expect(end != nil && end?.errorCode != 0, "\(name)")
  }

  @Test(
    "frames that bring nothing, without end",
    arguments: [
      ("PING", HTTP2Peer.frame(6, 0, 0, [UInt8](repeating: 0, count: 8))),
      ("SETTINGS", HTTP2Peer.settings([])),
      ("PRIORITY", HTTP2Peer.frame(2, 0, 1, [0, 0, 0, 0, 1])),
      ("WINDOW_UPDATE", HTTP2Peer.frame(8, 0, 0, HTTP2Peer.number(1))),
      ("empty DATA", HTTP2Peer.frame(0, 0, 1)),
      ("padding", HTTP2Peer.frame(0, 8, 1, [1, 0])),
      ("unknown", HTTP2Peer.frame(0x42, 0, 0, [])),
      ("unknown with bytes", HTTP2Peer.frame(0xff, 0xff, 1, [UInt8](repeating: 1, count: 9))),
      ("ALTSVC", HTTP2Peer.frame(10, 0, 1, [0, 0])),
    ])
  func idleFrames(_ name: String, _ frame: [UInt8]) throws {
    let server = try TestServer()
    let begin = HTTP2Peer.frame(1, 4, 1, HTTP2Peer.block(HTTP2Peer.head("/math/add")))
    let end = try flood(server, times: 100_000, { _ in begin }, { _ in frame })
    #expect(end?.errorCode == Self.calm, "\(name)")
  }

  @Test("a few of them are nothing: calls pay for their own")
  func idleFramesAreEarned() throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    let ping = HTTP2Peer.frame(6, 0, 0, [UInt8](repeating: 0, count: 8))
    for _ in 0..<2000 {
      peer.socket.send(ping + ping + ping)
      #expect(peer.call("/math/add", HTTP2Peer.add(1, 2)).status == 0)
    }
  }

  @Test("header fields by the thousand from one that was said once", arguments: [10_000, 100_000])
  func headerBomb(count: Int) throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    // One field that is remembered, then references of one byte to it, in as many frames as they take.
    let named = [0x40, 1, 0x78, 1, 0x79] as [UInt8]
    let block =
      HTTP2Peer.block(HTTP2Peer.head("/test/wait")) + named + [UInt8](repeating: 0xbe, count: count)
    for start in stride(from: 0, to: block.count, by: 16_384) {
      let end = min(start + 16_384, block.count)
      let flags: UInt8 = (start == 0 ? 1 : 0) | (end == block.count ? 4 : 0)
      peer.socket.send(HTTP2Peer.frame(start == 0 ? 1 : 9, flags, 1, Array(block[start..<end])))
    }
    #expect(peer.goAway()?.errorCode == Self.calm)
    #expect(peer.socket.isClosed())
  }

  @Test("header fields just below the limits and just above", arguments: [0, 1])
  func headerLimits(beyond: Int) throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    let head = HTTP2Peer.head("/math/add")
    let more = (0..<GRPCLimits.headerFieldsMax - head.count + beyond).map { ("x\($0)", "") }
    #expect(peer.call(head + more, HTTP2Peer.add(1, 2)).status == (beyond == 0 ? 0 : 8))
    let used = head.reduce(0) { $0 + $1.0.utf8.count + $1.1.utf8.count + 32 }
    let filler = String(repeating: "y", count: GRPCLimits.headerBytesMax - used - 33 + beyond)
    #expect(peer.call(head + [("x", filler)], HTTP2Peer.add(1, 2)).status == (beyond == 0 ? 0 : 8))
  }

  @Test("more CONTINUATION frames than any client needs")
  func continuations() throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    var bytes = HTTP2Peer.frame(1, 0, 1, HTTP2Peer.block(HTTP2Peer.head("/math/add")))
    // nghttp2 takes eight.
    for index in 0..<9 { bytes += HTTP2Peer.frame(9, 0, 1, HTTP2Peer.block([("x\(index)", "")])) }
    peer.socket.send(bytes)
    #expect(peer.socket.isClosed())
  }

  @Test("calls beyond those that may be in flight are refused, with when to try again")
  func inFlight() async throws {
    let server = try TestServer { $0.callsPerConnection = 2 }
    let peer = try HTTP2Peer(port: server.port)
    for _ in 0..<2 {
      peer.socket.send(
        peer.request(peer.takeStream(), HTTP2Peer.head("/test/wait"), HTTP2Peer.message([])))
    }
    await server.gate.reached(waiting: 2)
    let refused = await onThread { peer.call("/test/wait", HTTP2Peer.message([])) }
    #expect(refused.status == 8 && refused.isTrailersOnly)
    #expect(refused.fields["grpc-retry-pushback-ms"] == "10")
    let text = try #require(refused.fields["grpc-status-details-bin"])
    let padded = text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
    let details = String(decoding: try #require(Base64.decode(padded)), as: UTF8.self)
    for part in ["google.rpc.RetryInfo", "ResourceExhausted", "executed", "no", "limit"] {
      #expect(details.contains(part))
    }
    server.gate.open()
    #expect(await onThread { peer.answer(on: 1) }.trailers["grpc-status"] == "0")
  }

  @Test("a stream that was reset holds its place until its procedure has ended")
  func slots() async throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    var bytes: [UInt8] = []
    for _ in 0..<GRPCLimits.streamsMax {
      bytes += peer.request(peer.takeStream(), HTTP2Peer.head("/test/deaf"), HTTP2Peer.message([]))
    }
    peer.socket.send(bytes)
    await server.deafGate.reached(waiting: GRPCLimits.streamsMax)
    for index in 0..<GRPCLimits.streamsMax { peer.socket.send(HTTP2Peer.reset(UInt32(index * 2 + 1))) }
    #expect(peer.call("/math/add", HTTP2Peer.add(1, 2)).reset == 7, "REFUSED_STREAM: it was not executed")
    server.deafGate.open()
    // The procedures end one after the other; the next call has a place as soon as one has.
    var answer = HTTP2Peer.Answer()
    for _ in 0..<1000 where answer.status != 0 {
      answer = await onThread { peer.call("/math/add", HTTP2Peer.add(1, 2)) }
    }
    #expect(answer.status == 0)
  }

  @Test("answers that the peer does not take are not made without end, and then the connection ends")
  func stall() throws {
    let clock = ManualClock()
    let server = try TestServer { $0.clock = clock }
    let peer = try HTTP2Peer(port: server.port, settings: [(4, 0)])
    // 256 answers of 64 KiB each.
    for _ in 0..<GRPCLimits.streamsMax {
      peer.socket.send(
        peer.request(
          peer.takeStream(), HTTP2Peer.head("/data/fill"), HTTP2Peer.message([0x08, 0x80, 0x80, 4])))
    }
    // All were read when this is answered.
    peer.socket.send(HTTP2Peer.frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]))
    #expect(peer.next { $0.type == 6 } != nil)
    #expect(server.server.core.memory.heldBytes < 1024 * 1024)
    clock.advance(by: .milliseconds(GRPCLimits.stallMilliseconds - 1))
    peer.socket.send(HTTP2Peer.frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]))
    #expect(peer.next { $0.type == 6 || $0.type == 7 }?.type == 6, "just below the limit")
    clock.advance(by: .milliseconds(2))
    #expect(peer.goAway()?.errorCode == Self.calm)
    #expect(peer.socket.isClosed())
  }

  @Test("a connection has one answer of /metrics written at a time, and gets all of them once it reads")
  func manyMetrics() throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port, settings: [(4, 0)])
    let streams = (0..<32).map { _ in peer.takeStream() }
    for stream in streams {
      let head = [
        (":method", "GET"), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", "/metrics"),
      ]
      peer.socket.send(HTTP2Peer.frame(1, 5, stream, HTTP2Peer.block(head)))
    }
    // One has begun, and no other does while that is not read.
    #expect(peer.next { $0.type == 1 }?.stream == streams[0])
    peer.socket.send(HTTP2Peer.frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]))
    var begun = 0
    #expect(
      peer.next { frame in
        if frame.type == 1 { begun += 1 }
        return frame.type == 6
      } != nil)
    #expect(begun == 0)
    peer.socket.send(HTTP2Peer.settings([(4, 1 << 20)]))
    peer.socket.send(HTTP2Peer.frame(8, 0, 0, HTTP2Peer.number(16 << 20)))
    for stream in streams {
      let answer = peer.answer(on: stream)
      #expect(answer.fields[":status"] == "200")
      #expect(String(decoding: answer.body, as: UTF8.self).contains("# TYPE simplerpc_generation gauge\n"))
    }
    #expect(server.server.core.memory.heldBytes < 1024 * 1024)
  }

  @Test("a request that does not come whole is ended")
  func slowRequest() throws {
    let clock = ManualClock()
    let server = try TestServer {
      $0.clock = clock
      $0.frameTimeoutMilliseconds = 1000
    }
    let peer = try HTTP2Peer(port: server.port)
    let stream = peer.takeStream()
    peer.socket.send(HTTP2Peer.frame(1, 4, stream, HTTP2Peer.block(HTTP2Peer.head("/math/add"))))
    peer.socket.send(HTTP2Peer.frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]))
    #expect(peer.next { $0.type == 6 } != nil)
    clock.advance(by: .milliseconds(1001))
    #expect(peer.answer(on: stream).status == 4)
  }

  @Test("a preface that stops anywhere is ended by the handshake timeout", arguments: 1...24)
  func preface(count: Int) throws {
    let clock = ManualClock()
    let server = try TestServer { $0.clock = clock }
    do {
      let peer = try RawPeer(port: server.port)
      peer.send(Array(HTTP2Peer.preface[..<count]))
      #expect(peer.hearsNothing(milliseconds: 20) || count == 24)
      clock.advance(by: .seconds(11))
      #expect(peer.isClosed())
    }
    // Nothing of it is left, once the server has seen that the peer is gone too.
    let other = try HTTPPeer(port: server.port)
    var page: String?
    for _ in 0..<1000 where page?.contains("\nsimplerpc_connections 1\n") != true {
      page = other.ask(HTTPPeer.request("GET", "/metrics"))?.body
    }
    #expect(page?.contains("\nsimplerpc_connections 1\n") == true)
  }
}
