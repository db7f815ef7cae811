import Glibc
import RPCSystem
import RPCWire
import Testing

@testable import RPCTransport

@Suite("A connection")
struct ConnectionTests {
  /// Echoes frames of a length byte and as many bytes, and stops when the output is above the mark.
  private final class Echo: ConnectionHandler {
    var closedReason: CloseReason?
    var received = 0
    func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
      var offset = 0
      while offset < bytes.byteCount {
        if connection.isOverHighWater(output) { return offset }
        let length = Int(unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self))
        guard bytes.byteCount - offset >= 1 + length else {
          connection.bytesWanted = 1 + length
          return offset
        }
        output.append(bytes.extracting(offset..<offset + 1 + length))
        offset += 1 + length
        received += 1
      }
      return offset
    }
    func inputEnded(on connection: Connection) { connection.closeAfterFlush() }
    func closed(_ connection: Connection, reason: CloseReason) {
      closedReason = reason
      connection.loop.stop()
    }
  }

  private static func frames(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<count {
      let length = index % 251
      bytes.append(UInt8(length))
      bytes.append(contentsOf: (0..<length).map { UInt8(truncatingIfNeeded: $0 &+ index) })
    }
    return bytes
  }

  @Test("everything comes back in order, however it was cut into writes", arguments: [1, 2, 7, 100, 5000])
  func echoes(chunk: Int) throws {
    let loop = try EventLoop()
    let pair = try Socket.pair()
    let peer = pair.takeRawEnds()
    let connection = Connection(adopting: Descriptor(peer.near), on: loop)
    let handler = Echo()
    try connection.start(handler)
    let sent = Self.frames(300)
    let answer = Answer()
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
    try connection.start(Echo())
    let sent = Self.frames(40_000)
    let answer = Answer()
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

extension SocketPair {
  /// Both ends as plain numbers, for a test to hand to threads.
  consuming func takeRawEnds() -> (near: Int32, far: Int32) {
    var raw: (near: Int32, far: Int32) = (-1, -1)
    split { near, far in raw = (near.release(), far.release()) }
    return raw
  }
}

/// The far end of a socket, driven by a thread of the test.
private final class Answer: @unchecked Sendable {
  // Written by the peer's thread before it signals its end, read by the test after that.
  var bytes: [UInt8] = []

  func exchange(on descriptor: Int32, sending: [UInt8], chunk: Int, readsLate: Bool = false) {
    let reader = Latch()
    let start = Latch()
    if !readsLate { start.signal() }
    do {
      try LoopThread.spawn(name: "reader") { [self] in
        start.wait()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
          var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
          _ = Glibc.poll(&poll, 1, -1)
          let count = Glibc.read(descriptor, &buffer, buffer.count)
          if count < 0, errno == EAGAIN { continue }
          if count <= 0 { break }
          bytes.append(contentsOf: buffer[..<count])
        }
        reader.signal()
      }
    } catch {
      return
    }
    var offset = 0
    while offset < sending.count {
      let end = min(offset + chunk, sending.count)
      let count = sending[offset..<end].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 { offset += count }
      if count < 0, errno == EAGAIN {
        // Both directions are full: what the server holds is at its mark, so the reader may begin.
        start.signal()
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = Glibc.poll(&poll, 1, -1)
      }
    }
    start.signal()
    shutdown(descriptor, Int32(SHUT_WR))
    reader.wait()
    close(descriptor)
  }
}
