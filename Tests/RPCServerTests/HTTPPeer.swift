import RPCTransport
import RPCWire
import Testing

/// A client of HTTP/1.1 that sends whatever a test wants, over a plain socket, and reads whole answers.
final class HTTPPeer {
  struct Answer {
    var status: Int
    var fields: [(name: String, value: String)]
    var body: String

    subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    /// What an error says besides its message.
    var exception: String? { detail?["reason"]?.stringValue }
    var detail: Value? { (try? Value(json: body))?["details"]?.listValue?.first?["debug"] }
    var code: String? { (try? Value(json: body))?["code"]?.stringValue }
  }

  let peer: RawPeer

  init(port: Int) throws { peer = try RawPeer(port: port) }

  static func request(
    _ method: String, _ target: String, _ fields: [String] = [], host: String? = "127.0.0.1",
    body: String? = nil,
    version: String = "1.1"
  ) -> [UInt8] {
    var text = "\(method) \(target) HTTP/\(version)\r\n"
    if let host { text += "host: \(host)\r\n" }
    for field in fields { text += field + "\r\n" }
    if let body { text += "content-length: \(body.utf8.count)\r\n" }
    return Array((text + "\r\n" + (body ?? "")).utf8)
  }

  /// A call with JSON.
  static func call(_ path: String, _ body: String, _ fields: [String] = [], host: String? = "127.0.0.1")
    -> [UInt8]
  {
    request("POST", path, ["content-type: application/json"] + fields, host: host, body: body)
  }

  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool { peer.send(bytes) }

  /// The next answer; nil where the server has ended the connection.
  ///
  /// - Parameter isHead: of a request that gets no body.
  func next(isHead: Bool = false) -> Answer? {
    guard let line = peer.nextLine() else { return nil }
    var fields: [(name: String, value: String)] = []
    while let field = peer.nextLine()?.dropLast(), !field.isEmpty {
      let colon = field.firstIndex(of: ":") ?? field.endIndex
      fields.append((String(field[..<colon]), String(field[colon...].dropFirst(2))))
    }
    var answer = Answer(status: Int(line.dropFirst(9).prefix(3)) ?? 0, fields: fields, body: "")
    guard !isHead, answer.status != 100, answer.status != 204 else { return answer }
    if answer["transfer-encoding"] == "chunked" {
      while let size = peer.nextLine().flatMap({ Int($0.dropLast(), radix: 16) }), size > 0 {
        answer.body += peer.bytes(size) ?? ""
        _ = peer.nextLine()
      }
      _ = peer.nextLine()
    } else if let length = answer["content-length"].flatMap({ Int($0) }) {
      answer.body = peer.bytes(length) ?? ""
    } else {
      answer.body = String(decoding: peer.everything(), as: UTF8.self)
    }
    return answer
  }

  /// As `next`, without holding a thread of the concurrency pool meanwhile.
  func nextFromTask() async -> Answer? {
    nonisolated(unsafe) let peer = self
    return await withCheckedContinuation { continuation in
      do {
        try LoopThread.spawn(name: "peer") { continuation.resume(returning: peer.next()) }
      } catch {
        continuation.resume(returning: nil)
      }
    }
  }

  /// Sends one request and reads its answer.
  func ask(_ bytes: [UInt8], isHead: Bool = false) -> Answer? {
    send(bytes)
    return next(isHead: isHead)
  }
}
