import RPCTransport
import RPCWire
import Testing

@testable import RPCServer

/// A stand-in for a dialect: lines that begin with `ECHO `, each a call of `text.echo` with what follows, answered by
/// the text alone. It touches no file of the others.
private final class EchoDialect: Dialect {
  static let name = "echo"
  static let prefix = Array("ECHO ".utf8)
  private let connection: ServerConnection
  private var nextID: UInt64 = 1

  init(on connection: ServerConnection) { self.connection = connection }

  static func recognise(_ first: RawSpan, alpn: String?) -> Recognition {
    if let alpn { return alpn == "echo" ? .yes : .no }
    let count = min(first.byteCount, prefix.count)
    for index in 0..<count
    where unsafe first.unsafeLoad(fromByteOffset: index, as: UInt8.self) != prefix[index] { return .no }
    return count == prefix.count ? .yes : .needs(bytes: prefix.count)
  }

  func read(_ bytes: RawSpan, into output: inout ByteQueue) -> Progress {
    let all = bytes.withUnsafeBytes { Array($0) }
    var offset = 0
    while let end = all[offset...].firstIndex(of: UInt8(ascii: "\n")) {
      let text = String(decoding: all[offset..<end].dropFirst(Self.prefix.count), as: UTF8.self)
      offset = end + 1
      call(text, into: &output)
    }
    return .consumed(offset, wanted: all.count - offset + 1)
  }

  private func call(_ text: String, into output: inout ByteQueue) {
    let core = connection.host.calls
    do throws(RPCError) {
      let procedure = try core.find(
        service: "text", procedure: "echo", arguments: [.string], returns: nil, for: connection)
      nextID += 1
      try core.start(
        nextID, procedure, Value.list([.string(text)]).messagePack, timeoutNanoseconds: 0, on: connection,
        sink: Sink(connection.socket))
    } catch {
      refuse(error, into: &output)
    }
  }

  func refuse(_ error: RPCError, into output: inout ByteQueue) { output.append("error \(error.message)\n") }
  func inputEnded() -> EndOfInput { .closeAfterCalls }
  func drain(into output: inout ByteQueue) { output.append("bye\n") }

  private final class Sink: ReplySink {
    private let socket: Connection
    init(_ socket: Connection) { self.socket = socket }
    func end(_ outcome: CallOutcome) {
      let text =
        (try? outcome.get()).flatMap { try? Value.list(messagePack: $0).first?.stringValue } ?? "failed"
      socket.send { $0.append(text + "\n") }
    }
  }
}

@Suite("Dialects")
struct DialectTests {
  private static let all: [any Dialect.Type] = Dialects.all + [EchoDialect.self]

  private static func choice(_ bytes: [UInt8], alpn: String? = nil) -> String {
    switch Dialects.choose(bytes.span.bytes, alpn: alpn, among: all) {
    case .speak(let dialect): dialect.name
    case .filter: "filter"
    case .wait(let count): "wait for \(count)"
    case .none: "none"
    }
  }

  static let beginnings: [(String, String?, String)] = [
    ("", nil, "wait for 1"), ("{", nil, "json"), (" ", nil, "json"), ("\n", nil, "json"),
    ("E", nil, "wait for 5"), ("ECHO", nil, "wait for 5"), ("ECHO ", nil, "echo"), ("ECHO x", nil, "echo"),
    ("ECHx", nil, "none"), ("P", nil, "wait for 3"), ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r", nil, "wait for 24"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", nil, "grpc"), ("\u{16}", nil, "none"),
    ("PO", nil, "wait for 3"), ("POST", nil, "http"), ("PUT", nil, "http"), ("PUS", nil, "none"),
    ("G", nil, "wait for 3"), ("GE", nil, "wait for 3"), ("GET", nil, "http"), ("GETS ", nil, "none"),
    ("get ", nil, "none"), ("OPT", nil, "http"), ("HEA", nil, "http"),
    // What was agreed on decides, whatever the bytes look like.
    ("{", "echo", "echo"), ("ECHO ", "h2", "grpc"), ("ECHO ", "h3", "none"), ("{", "http/1.1", "http"),
  ]

  @Test(
    "a connection is recognised by as many first bytes as it takes, or by ALPN", arguments: beginnings.indices
  )
  func recognition(index: Int) {
    let (bytes, alpn, name) = Self.beginnings[index]
    #expect(Self.choice(Array(bytes.utf8), alpn: alpn) == name)
  }

  @Test("the preface is recognised at its last byte, and not before")
  func preface() {
    for count in 1..<Preface.bytes.count {
      #expect(Self.choice(Array(Preface.bytes.prefix(count))) == "wait for \(Preface.bytes.count)")
    }
    #expect(Self.choice(Array(Preface.bytes)) == "native")
  }

  @Test("a stand-in is spoken beside the others, byte by byte too, and drains as it likes")
  func standIn() throws {
    let server = try TestServer { $0.dialects += [EchoDialect.self] }
    let peer = try RawPeer(port: server.port)
    for byte in Array("ECHO hello\nECHO w".utf8) { peer.send([byte]) }
    #expect(peer.nextLine() == "hello")
    peer.send(Array("orld\n".utf8))
    #expect(peer.nextLine() == "world")
    let native = try RawPeer.greeted(port: server.port)
    let add = try native.bind("math", "add", [.int, .int])
    native.startCall(add, [.int(1), .int(2)])
    #expect(native.next()?.values == [3])
    server.server.beginStopping()
    #expect(peer.nextLine() == "bye")
    #expect(peer.isClosed())
  }

  @Test("bytes of no dialect are answered with a line that names those there are")
  func none() throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    peer.send(Array("EHLO localhost\r\n".utf8))
    #expect(peer.nextLine()?.contains("unknown protocol; this port speaks native, json, http") == true)
    #expect(peer.isClosed())
  }

  @Test("a missed deadline has the same words in each dialect")
  func deadlineText() throws {
    let server = try TestServer()
    let text = "test.wait did not finish within its deadline of 20 ms"
    let lines = try RawPeer(port: server.port)
    lines.send(
      Array(
        (#"{"header":"RPC-REQ","value":{"service":"test","rpc":"wait","timeout":0.02}}"# + "\n").utf8))
    #expect(lines.nextLine()?.contains(text) == true)
    let native = try RawPeer.greeted(port: server.port)
    let wait = try native.bind("test", "wait", [])
    native.startCall(wait, [], timeoutMicroseconds: 20_000)
    let error = native.next()?.error
    #expect(error?.exception == .deadlineExceeded && error?.message == text && error?.executed == .maybe)
  }

  @Test("items come before the end as far as the caller has credit, and none after it")
  func items() throws {
    final class Taker: ReplySink {
      var credit = 2
      var said: [String] = []
      func item(_ values: [UInt8]) {
        credit -= 1
        said.append("item \(values)")
      }
      func end(_ outcome: CallOutcome) { said.append("end") }
    }
    let loop = try EventLoop()
    guard let address = SocketAddress(ip: "127.0.0.1", port: 6000) else { preconditionFailure() }
    let taker = Taker()
    let call = ServerCall(
      id: 1, procedure: LogTests.procedure, caller: Caller(peer: address, local: nil), started: loop.now,
      deadline: nil, arguments: [], sink: taker)
    // A procedure that answers with five items and then ends.
    var next: UInt8 = 0
    let produce = { [unowned call] in
      while next < 5, call.item([next]) { next += 1 }
      if next == 5 { call.conclude(.success([]), on: loop) }
    }
    call.creditGrew = produce
    produce()
    #expect(taker.said == ["item [0]", "item [1]"] && call.credit == 0)
    call.addCredit()
    #expect(taker.said.count == 2, "no credit came")
    taker.credit = 2
    call.addCredit()
    #expect(taker.said.suffix(2) == ["item [2]", "item [3]"] && !call.isConcluded)
    taker.credit = 9
    call.addCredit()
    #expect(taker.said.suffix(2) == ["item [4]", "end"])
    #expect(!call.item([9]) && call.credit == 0)
    call.addCredit()
    #expect(taker.said.count == 6)
  }
}
