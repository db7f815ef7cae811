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
}
