import Glibc
import RPCSystem
import RPCWire
import TestSupport
import Testing

@testable import RPCTransport

/// The stand-in changes every byte, greets first, and has an end of its own.
@Suite("A connection with a byte filter")
struct ByteFilterTests {
  /// Asks for the filter when the first bytes are its greeting.
  private final class Recogniser: ConnectionHandler {
    let echo = EchoHandler()
    func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
      if connection.filter == nil {
        guard bytes.byteCount >= 3 else {
          connection.bytesWanted = 3
          return 0
        }
        connection.install(RecordFilter())
        return 0
      }
      return echo.received(bytes, into: &output, on: connection)
    }
    func inputEnded(on connection: Connection) { echo.inputEnded(on: connection) }
    func closed(_ connection: Connection, reason: CloseReason) { echo.closed(connection, reason: reason) }
  }

  /// What comes back for `wire`, written in pieces of `chunk` bytes, and why the connection ended.
  private static func exchange(
    _ wire: [UInt8], chunk: Int, isRecognised: Bool = true, limits: ConnectionLimits = ConnectionLimits(),
    readsLate: Bool = false
  ) throws -> (bytes: [UInt8], reason: CloseReason?) {
    let loop = try EventLoop()
    let ends = try Socket.pair().takeRawEnds()
    let connection = Connection(adopting: Descriptor(ends.near), on: loop, limits: limits)
    let recogniser = Recogniser()
    if !isRecognised { connection.install(RecordFilter()) }
    try connection.start(recogniser)
    let farEnd = FarEnd()
    let done = Latch()
    try LoopThread.spawn(name: "peer") {
      farEnd.exchange(on: ends.far, sending: wire, chunk: chunk, readsLate: readsLate)
      done.signal()
    }
    loop.run()
    done.wait()
    return (farEnd.bytes, recogniser.echo.closedReason)
  }

  @Test(
    "everything passes in both directions, however it was cut, whether it was there or asked for",
    arguments: [1, 2, 7, 100, 5000, 1_000_000], [true, false])
  func echoes(chunk: Int, isRecognised: Bool) throws {
    let frames = EchoHandler.frames(300)
    for record in [1, 13, 1000] where chunk > 2 || record == 13 {
      let wire = RecordFilter.encoded(frames, size: record)
      let (answer, reason) = try Self.exchange(wire, chunk: chunk, isRecognised: isRecognised)
      let decoded = try #require(RecordFilter.decoded(answer))
      #expect(decoded.bytes == frames && decoded.hasEnded, "records of \(record)")
      #expect(reason == .local)
    }
  }

  @Test("a peer that does not read is not read from beyond the high-water mark, and loses nothing")
  func backpressure() throws {
    var limits = ConnectionLimits()
    limits.outputHighWater = 64 * 1024
    limits.outputLowWater = 16 * 1024
    let frames = EchoHandler.frames(40_000)
    let (answer, _) = try Self.exchange(
      RecordFilter.encoded(frames), chunk: 100_000, limits: limits, readsLate: true)
    let decoded = try #require(RecordFilter.decoded(answer))
    #expect(decoded.bytes == frames && decoded.hasEnded)
  }

  @Test("an input that stops without the filter's own end was cut off")
  func truncated() throws {
    let frames = EchoHandler.frames(20)
    let (answer, reason) = try Self.exchange(RecordFilter.encoded(frames, ends: false), chunk: 5000)
    #expect(RecordFilter.decoded(answer)?.bytes == frames)
    #expect(reason == .failed(SystemError(code: EPROTO, operation: "read", detail: "the input was cut off")))
  }

  @Test("what the filter refuses ends the connection, and the handler had what came before it")
  func refused() throws {
    let frames = EchoHandler.frames(20)
    let wire = RecordFilter.encoded(frames, ends: false) + [0xff, 0xff]
    for chunk in [wire.count, 1] {
      let (answer, reason) = try Self.exchange(wire, chunk: chunk)
      #expect(answer.starts(with: RecordFilter.greeting))
      let wanted = SystemError(code: EPROTO, operation: "read", detail: "a record of 65535 bytes")
      #expect(reason == .failed(wanted), "in pieces of \(chunk)")
    }
    let (answer, reason) = try Self.exchange(Array("REX, not REC".utf8), chunk: 100)
    #expect(answer == RecordFilter.greeting)
    #expect(reason == .failed(SystemError(code: EPROTO, operation: "read", detail: "no greeting")))
  }

  @Test("the last words wait for the filter's greeting, and its end follows them")
  func lastWords() throws {
    final class Refuser: ConnectionHandler {
      func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
        bytes.byteCount
      }
      func inputEnded(on connection: Connection) {}
      func closed(_ connection: Connection, reason: CloseReason) { connection.loop.stop() }
    }
    let loop = try EventLoop()
    let ends = try Socket.pair().takeRawEnds()
    let connection = Connection(adopting: Descriptor(ends.near), on: loop)
    connection.install(RecordFilter())
    try connection.start(Refuser())
    connection.send { $0.append("go away") }
    connection.closeAfterFlush()
    let farEnd = FarEnd()
    let done = Latch()
    try LoopThread.spawn(name: "peer") {
      farEnd.exchange(on: ends.far, sending: RecordFilter.greeting, chunk: 1)
      done.signal()
    }
    loop.run()
    done.wait()
    let decoded = try #require(RecordFilter.decoded(farEnd.bytes))
    #expect(decoded.bytes == Array("go away".utf8) && decoded.hasEnded)
  }

  @Test(
    "last words end with the time for the handshake, whether the peer is silent or never finishes it",
    arguments: [0, 2])
  func handshakeTime(greetingBytes: Int) throws {
    final class Gone: ConnectionHandler, Sendable {
      let closed = Lock<CloseReason?>(nil)
      let latch = Latch()
      func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
        Issue.record("nothing is delivered")
        return bytes.byteCount
      }
      func inputEnded(on connection: Connection) {}
      func closed(_ connection: Connection, reason: CloseReason) {
        closed.withLock { $0 = reason }
        latch.signal()
      }
    }
    let clock = ManualClock()
    let handler = Gone()
    let ends = try Socket.pair().takeRawEnds()
    defer { close(ends.far) }
    #expect(write(ends.far, RecordFilter.greeting, greetingBytes) == greetingBytes)
    let thread = try LoopThread(name: "near", clock: clock) { loop in
      let connection = Connection(adopting: Descriptor(ends.near), on: loop)
      connection.install(RecordFilter())
      do { try connection.start(handler) } catch { Issue.record(error) }
      connection.send { $0.append("go away") }
      connection.closeAfterFlush()
    }
    // A turn of the loop is over when mail that was posted in it is answered by the next one.
    func turn() {
      let done = Latch()
      thread.mailbox.post { $0.mailbox.post { _ in done.signal() } }
      done.wait()
    }
    turn()
    clock.advance(by: .nanoseconds(Connection.lingerNanoseconds - 1))
    turn()
    #expect(handler.closed.withLock { $0 } == nil)
    clock.advance(by: .nanoseconds(2))
    handler.latch.wait()
    #expect(handler.closed.withLock { $0 } == .local)
    // The greeting, and no word behind it.
    var byte = [UInt8](repeating: 0, count: 100)
    let count = read(ends.far, &byte, 100)
    #expect(Array(byte.prefix(max(0, count))) == RecordFilter.greeting)
    thread.mailbox.post { $0.stop() }
    thread.join()
  }

  @Test("what the filter says of its failure reaches a peer that is still sending")
  func failureIsTold() throws {
    let (answer, reason) = try Self.exchange(
      Array("REX".utf8) + [UInt8](repeating: 7, count: 1_000_000), chunk: 100_000, isRecognised: false)
    #expect(answer == RecordFilter.greeting)
    #expect(reason == .failed(SystemError(code: EPROTO, operation: "read", detail: "no greeting")))
  }
}
