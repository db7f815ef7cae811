import CNGHTTP2
import Foundation
import RPCServer
import RPCSystem
import RPCTransport
import RPCWire

/// A client of HTTP/2 that writes each frame by hand, right or wrong, and reads what comes back. It shares nothing with
/// the server but the decoder of header fields.
final class HTTP2Peer {
  struct Frame {
    var type: UInt8
    var flags: UInt8
    var stream: UInt32
    var payload: [UInt8]
    /// Of HEADERS.
    var fields: [String: String] = [:]

    var endsStream: Bool { flags & 1 != 0 && type <= 1 }
    /// Of RST_STREAM, and of GOAWAY.
    var errorCode: UInt32? {
      let bytes = type == 3 ? payload.prefix(4) : type == 7 ? payload.dropFirst(4).prefix(4) : []
      return bytes.isEmpty ? nil : bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }
  }

  /// All that came back on one stream.
  struct Answer {
    var fields: [String: String] = [:]
    var trailers: [String: String] = [:]
    var body: [UInt8] = []
    var reset: UInt32?
    /// Whether header fields were all there was.
    var isTrailersOnly = false

    var status: Int? { (trailers["grpc-status"] ?? fields["grpc-status"]).flatMap { Int($0) } }
    var message: String? { (trailers["grpc-message"] ?? fields["grpc-message"])?.removingPercentEncoding }
  }

  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
  let socket: RawPeer
  private var inflater: OpaquePointer?
  private var buffer: [UInt8] = []
  private(set) var frames: [Frame] = []
  private var nextStream: UInt32 = 1

  /// - Parameter settings: numbers and values.
  init(port: Int, settings: [(UInt16, UInt32)] = []) throws {
    socket = try RawPeer(port: port)
    nghttp2_hd_inflate_new(&inflater)
    socket.send(Self.preface + Self.settings(settings))
  }

  deinit { nghttp2_hd_inflate_del(inflater) }

  // MARK: Frames

  static func frame(_ type: UInt8, _ flags: UInt8 = 0, _ stream: UInt32 = 0, _ payload: [UInt8] = [])
    -> [UInt8]
  {
    let count = payload.count
    return [
      UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255), type, flags, UInt8(stream >> 24),
      UInt8(stream >> 16 & 255), UInt8(stream >> 8 & 255), UInt8(stream & 255),
    ] + payload
  }

  static func number(_ value: UInt32) -> [UInt8] {
    [UInt8(value >> 24), UInt8(value >> 16 & 255), UInt8(value >> 8 & 255), UInt8(value & 255)]
  }

  static func settings(_ entries: [(UInt16, UInt32)]) -> [UInt8] {
    frame(4, 0, 0, entries.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 255)] + number($0.1) })
  }

  static func reset(_ stream: UInt32, _ code: UInt32 = 8) -> [UInt8] { frame(3, 0, stream, number(code)) }

  /// Header fields as literals that nobody remembers.
  static func block(_ fields: [(String, String)]) -> [UInt8] {
    fields.flatMap { name, value in [0] + text(name) + text(value) }
  }

  private static func text(_ text: String) -> [UInt8] {
    let count = text.utf8.count
    precondition(count < 127 + 16_384)
    let length: [UInt8] =
      count < 127 ? [UInt8(count)] : [127, UInt8((count - 127) & 127) | 128, UInt8((count - 127) >> 7)]
    return length + Array(text.utf8)
  }

  static func message(_ bytes: [UInt8], flag: UInt8 = 0) -> [UInt8] {
    [flag] + number(UInt32(bytes.count)) + bytes
  }

  /// `math.add` of two small numbers.
  static func add(_ a: UInt8, _ b: UInt8) -> [UInt8] { message([0x08, a, 0x10, b]) }

  static func head(
    _ path: String, method: String = "POST", type: String = "application/grpc",
    _ more: [(String, String)] = []
  ) -> [(String, String)] {
    [
      (":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost"),
      ("te", "trailers"),
      ("content-type", type),
    ] + more
  }

  // MARK: Requests

  func takeStream() -> UInt32 {
    defer { nextStream += 2 }
    return nextStream
  }

  /// The bytes of a request that is whole.
  func request(_ stream: UInt32, _ fields: [(String, String)], _ body: [UInt8]) -> [UInt8] {
    Self.frame(1, 4, stream, Self.block(fields)) + Self.frame(0, 1, stream, body)
  }

  /// Sends a request and waits for all of its answer.
  func call(_ fields: [(String, String)], _ body: [UInt8]) -> Answer {
    let stream = takeStream()
    socket.send(request(stream, fields, body))
    return answer(on: stream)
  }

  /// As `call` with a body of many frames, as much as the server's windows take at once.
  func upload(_ fields: [(String, String)], _ body: [UInt8]) -> Answer {
    let stream = takeStream()
    var bytes = Self.frame(1, 4, stream, Self.block(fields))
    for start in stride(from: 0, to: body.count, by: 16_384) {
      let end = min(start + 16_384, body.count)
      bytes += Self.frame(0, end == body.count ? 1 : 0, stream, Array(body[start..<end]))
    }
    socket.send(bytes)
    return answer(on: stream)
  }

  func call(_ path: String, _ body: [UInt8], _ more: [(String, String)] = []) -> Answer {
    call(Self.head(path, more), body)
  }

  /// Waits until a stream has ended.
  func answer(on stream: UInt32) -> Answer {
    var answer = Answer()
    var index = 0
    while true {
      while index < frames.count {
        let frame = frames[index]
        index += 1
        guard frame.stream == stream else { continue }
        switch frame.type {
        case 0: answer.body += frame.payload
        case 1 where answer.fields.isEmpty:
          answer.fields = frame.fields
          answer.isTrailersOnly = frame.endsStream
        case 1: answer.trailers = frame.fields
        case 3: answer.reset = frame.errorCode
        default: break
        }
        if frame.endsStream || frame.type == 3 { return answer }
      }
      guard next() != nil else { return answer }
    }
  }

  /// The next frame, or nil where the server has closed.
  func next() -> Frame? {
    while true {
      if buffer.count >= 9 {
        let count = Int(buffer[0]) << 16 | Int(buffer[1]) << 8 | Int(buffer[2])
        if buffer.count >= 9 + count {
          var frame = Frame(
            type: buffer[3], flags: buffer[4], stream: buffer[5..<9].reduce(0) { $0 << 8 | UInt32($1) },
            payload: Array(buffer[9..<9 + count]))
          buffer.removeFirst(9 + count)
          if frame.type == 1 { frame.fields = inflate(frame.payload) }
          if frame.type == 4, frame.flags & 1 == 0 { socket.send(Self.frame(4, 1)) }
          frames.append(frame)
          return frame
        }
      }
      guard let more = socket.nextBytes() else { return nil }
      buffer += more
    }
  }

  /// The next frame for which something holds.
  func next(where isWanted: (Frame) -> Bool) -> Frame? {
    while let frame = next() { if isWanted(frame) { return frame } }
    return nil
  }

  func goAway() -> Frame? { next { $0.type == 7 } }

  private func inflate(_ block: [UInt8]) -> [String: String] {
    var fields: [String: String] = [:]
    var offset = 0
    while true {
      var pair = nghttp2_nv()
      var flags: Int32 = 0
      let count = block[offset...].withUnsafeBufferPointer {
        nghttp2_hd_inflate_hd2(inflater, &pair, &flags, $0.baseAddress, $0.count, 1)
      }
      guard count >= 0 else { return fields }
      offset += count
      if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) != 0 {
        let name = String(decoding: UnsafeBufferPointer(start: pair.name, count: pair.namelen), as: UTF8.self)
        fields[name] = String(
          decoding: UnsafeBufferPointer(start: pair.value, count: pair.valuelen), as: UTF8.self)
      }
      if flags & Int32(NGHTTP2_HD_INFLATE_FINAL.rawValue) != 0 {
        nghttp2_hd_inflate_end_headers(inflater)
        return fields
      }
    }
  }
}
