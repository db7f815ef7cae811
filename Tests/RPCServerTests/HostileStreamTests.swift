import Foundation
import Glibc
import RPCServer
import RPCTransport
import RPCWire
import Synchronization
import Testing

@Suite("Streams that lie, break off or dawdle")
struct HostileStreamTests {
  /// One of each frame that a client sends, in an order that is right, with the kind of each answer.
  private static func conversation(add: UInt32) -> [(bytes: [UInt8], answer: FrameKind?)] {
    func frame(_ encode: (inout ByteQueue) -> Void) -> [UInt8] {
      var queue = ByteQueue()
      encode(&queue)
      return queue.copy()
    }
    return [
      (RawPeer.greeting, .hello),
      (
        frame {
          Bind(service: "math", procedure: "add", arguments: [.int, .int]).encode(to: &$0, callID: 1)
        }, .bound
      ),
      (RawPeer.call(add, [20, 22], callID: 2), .reply),
      (frame { $0.appendEmptyFrame(.ping, callID: 3) }, .pong),
      (frame { $0.appendEmptyFrame(.cancel, callID: 2) }, nil),
      (frame { $0.appendEmptyFrame(.pong, callID: 4) }, nil),
    ]
  }

  private static func idOfAdd(_ server: TestServer) throws -> UInt32 {
    try RawPeer.greeted(port: server.port).bind("math", "add", [.int, .int])
  }

  @Test("a stream that breaks off anywhere is answered as far as it came whole")
  func brokenOff() throws {
    let server = try TestServer { $0.loops = 1 }
    let conversation = Self.conversation(add: try Self.idOfAdd(server))
    let neighbour = try Neighbour(port: server.port)
    let bytes = conversation.flatMap(\.bytes)
    for cut in 0..<bytes.count {
      var end = 0
      let whole = conversation.prefix { part in
        end += part.bytes.count
        return end <= cut
      }
      let peer = try RawPeer(port: server.port)
      peer.send(Array(bytes[..<cut]))
      peer.endSending()
      var answers: [FrameKind] = []
      while let frame = peer.next() { frame.kind.map { answers.append($0) } }
      #expect(answers == whole.compactMap(\.answer), "broken off after \(cut) bytes")
      #expect(peer.ended)
    }
    #expect(neighbour.wasLeftAlone())
  }

  @Test("a length that lies gets an error or nothing, never an answer and never a hang")
  func lyingLengths() throws {
    let server = try TestServer { $0.loops = 1 }
    let conversation = Self.conversation(add: try Self.idOfAdd(server))
    let neighbour = try Neighbour(port: server.port)
    for (index, part) in conversation.enumerated() {
      // The greeting's length stands behind the preface.
      let at = index == 0 ? Preface.bytes.count : 0
      let length = part.bytes.count - at - FrameHeader.byteCount
      for lie in [0, length - 1, length + 1, length + 1000, Int(Int32.max), Int(UInt32.max)]
      where lie >= 0 && lie != length {
        var bytes = part.bytes
        for byte in 0..<4 { bytes[at + byte] = UInt8(truncatingIfNeeded: lie >> (8 * byte)) }
        let peer = try RawPeer(port: server.port)
        let before = index == 0 ? [] : conversation[0].bytes
        peer.send(before + bytes)
        peer.endSending()
        var answers: [RawPeer.Frame] = []
        while let frame = peer.next() { answers.append(frame) }
        #expect(peer.ended, "\(part.answer.map { "\($0)" } ?? "frame \(index)") of \(lie) bytes")
        if index > 0 { #expect(answers.removeFirst().kind == .hello) }
        #expect(answers.allSatisfy { $0.kind == .error }, "frame \(index) of \(lie) bytes")
        if lie > WireLimits.frameBytes {
          #expect(answers.last?.error?.exception == .resourceExhausted)
          #expect(answers.last?.error?.actual == lie)
        }
      }
    }
    #expect(neighbour.wasLeftAlone())
  }

  @Test("a frame that comes a byte at a time, too slowly, ends its own connection alone")
  func dawdler() throws {
    let server = try TestServer {
      $0.frameTimeoutMilliseconds = 150
      // Beyond a test's timeout: the timer of one must not stand in for the other.
      $0.handshakeTimeoutMilliseconds = 60_000
      $0.loops = 1
    }
    let add = try Self.idOfAdd(server)
    let neighbour = try Neighbour(port: server.port)
    let peer = try RawPeer.greeted(port: server.port)
    // Every byte is progress, yet the frame as a whole has its time. The next one goes as long as no answer comes.
    for byte in RawPeer.call(add, [1, 2], callID: 2).prefix(26) {
      guard peer.send([byte]), peer.hearsNothing(milliseconds: 20) else { break }
    }
    #expect(peer.next()?.error?.exception == .deadlineExceeded)
    #expect(peer.isClosed())
    #expect(neighbour.wasLeftAlone())
  }

  @Test("silence has its time, from the last word on, and a call in flight is not a silence")
  func idle() async throws {
    let server = try TestServer {
      $0.idleTimeoutMilliseconds = 200
      $0.handshakeTimeoutMilliseconds = 60_000
      $0.loops = 1
    }
    let waiting = try RawPeer.greeted(port: server.port)
    let call = waiting.startCall(try waiting.bind("test", "wait", []), [])
    await server.gate.reached(waiting: 1)
    let silent = try RawPeer.greeted(port: server.port)
    let last = await silent.nextFromTask()
    #expect(last?.error?.message.contains("idle timeout of 200 ms") == true)
    server.gate.open()
    let answer = await waiting.nextFromTask()
    #expect(answer?.header.callID == call && answer?.kind == .reply)
  }

  @Test("ten thousand connections that say nothing are nobody's concern")
  func silentCrowd() throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    // Both ends of each are in this process, beside whatever is open in it already.
    let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    let count = min(10_000, (Int(clamping: limit.rlim_max) - open - 100) / 2)
    let server = try TestServer { $0.loops = 1 }
    var crowd: [RawPeer] = []
    for _ in 0..<count { crowd.append(try RawPeer(port: server.port)) }
    let neighbour = try Neighbour(port: server.port)
    // The last of them has its turn all the same.
    crowd[count - 1].send(RawPeer.greeting)
    #expect(crowd[count - 1].next()?.kind == .hello)
    #expect(neighbour.wasLeftAlone())
  }
}
