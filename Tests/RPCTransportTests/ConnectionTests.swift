import Glibc
import RPCSystem
import RPCWire
import Testing

@testable import RPCTransport

@Suite("A connection")
struct ConnectionTests {
  @Test("everything comes back in order, however it was cut into writes", arguments: [1, 2, 7, 100, 5000])
  func echoes(chunk: Int) throws {
    let loop = try EventLoop()
    let pair = try Socket.pair()
    let peer = pair.takeRawEnds()
    let connection = Connection(adopting: Descriptor(peer.near), on: loop)
    let handler = EchoHandler()
    try connection.start(handler)
    let sent = EchoHandler.frames(300)
    let answer = FarEnd()
    let done = Latch()
    try LoopThread.spawn(name: "peer") {
      answer.exchange(on: peer.far, sending: sent, chunk: chunk)
      done.signal()
    }
    loop.run()
    done.wait()
    #expect(answer.bytes == sent)
    #expect(handler.received == 300)
  }

  @Test("a peer that does not read is not read from beyond the high-water mark, and loses nothing")
  func backpressure() throws {
    let loop = try EventLoop()
    let ends = try Socket.pair().takeRawEnds()
    var limits = ConnectionLimits()
    limits.outputHighWater = 64 * 1024
    limits.outputLowWater = 16 * 1024
    let connection = Connection(adopting: Descriptor(ends.near), on: loop, limits: limits)
    try connection.start(EchoHandler())
    let sent = EchoHandler.frames(40_000)
    let answer = FarEnd()
    let done = Latch()
    try LoopThread.spawn(name: "peer") {
      answer.exchange(on: ends.far, sending: sent, chunk: 100_000, readsLate: true)
      done.signal()
    }
    loop.run()
    done.wait()
    #expect(answer.bytes == sent)
  }

  @Test("a request whose length nobody knows is read in large pieces, however much its buffer has left")
  func unknownLength() throws {
    let loop = try EventLoop()
    let ends = try Socket.pair().takeRawEnds()
    defer { close(ends.far) }
    let connection = Connection(adopting: Descriptor(ends.near), on: loop)
    // 99 bytes are left of a buffer of 64 KiB, then 99 of one of 128 KiB.
    let line = LineHandler(pieces: [65_437, 65_536] + Array(repeating: 20_000, count: 10), to: ends.far)
    try connection.start(line)
    line.sendNext()
    loop.run()
    #expect(line.isWhole)
    // A piece takes two reads at most, and each time that the buffer grows one more.
    #expect(line.reads < 40)
  }
}

/// Waits for a line that comes in pieces, each when all before it is there, and ends the loop.
private final class LineHandler: ConnectionHandler {
  private(set) var reads = 0
  private(set) var isWhole = false
  private var pieces: ArraySlice<Int>
  private var sent = 0
  private let far: Int32

  init(pieces: [Int], to far: Int32) {
    self.pieces = pieces[...]
    self.far = far
  }

  func sendNext() {
    guard let size = pieces.popFirst() else { return }
    let piece = [UInt8](repeating: UInt8(ascii: "x"), count: size)
    sent += max(0, Glibc.write(far, piece, size))
  }

  func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
    reads += 1
    connection.bytesWanted = bytes.byteCount + 1
    guard bytes.byteCount == sent else { return 0 }
    if pieces.isEmpty {
      isWhole = true
      connection.loop.stop()
    }
    sendNext()
    return 0
  }
  func inputEnded(on connection: Connection) {}
  func closed(_ connection: Connection, reason: CloseReason) {}
}
