import RPCKeys
import RPCTLS
import RPCTransport
import RPCWire

/// TLS between two filters in memory, with hostile bytes before, in and after the handshake.
enum TLSTarget {
  /// The input is a script: what the first byte says is done to what passes, with the bytes behind it.
  private enum Plan: UInt8, CaseIterable {
    /// The bytes are all that a server gets.
    case server
    /// They are all that a client gets, once it has said its hello.
    case client
    /// They come to the server between its handshake's flights.
    case between
    /// They change bytes of the handshake: positions and what is added there, in pairs of three.
    case changed
    /// They come to the server, or the client, once the handshake is over.
    case established
    case establishedClient
    /// They change bytes of records that carry something.
    case records
  }

  /// One end.
  private struct Side {
    let filter: TLSFilter
    var received: [UInt8] = []
    var sent: [UInt8] = []
    var failure: FilterFailure?
  }

  private static let secret = Array("what one end says to the other".utf8)
  /// Made once, for all inputs.
  private static let shared: Result<(TLSServerContext, CertificatePin), TLSError> = Result {
    () throws(TLSError) in
    let key = try TLSIdentity.makeKey()
    let chain = try TLSIdentity.makeCertificate(
      key: key, name: "fuzz", addresses: ["127.0.0.1"], hosts: ["localhost"])
    let identity = try TLSIdentity(chain: chain, key: key, source: "made here")
    let context = try TLSServerContext(
      identities: [identity], protocols: ["h2", "http/1.1", "simplerpc/1"],
      trust: ClientTrust(asks: { true }), ticketKeys: TicketKeys())
    return (context, identity.pin)
  }

  /// Whatever comes, an end delivers nothing but what the other has said, in order; one that has failed delivers nothing
  /// more and stays failed; and what it answers by itself is bounded.
  static func tls(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let first = bytes.first, let plan = Plan(rawValue: first % UInt8(Plan.allCases.count)) else {
      return
    }
    let script = Array(bytes.dropFirst())
    var (server, client): (Side, Side)
    do throws(TLSError) {
      let (context, pin) = try shared.get()
      server = Side(filter: try context.makeFilter())
      client = Side(
        filter: try TLSClientContext.context(for: .pin(pin)).makeFilter(host: "localhost", isAddress: false))
    } catch {
      throw BrokenPromise("no TLS: \(error)")
    }
    switch plan {
    case .server:
      try hostile(script, to: &server)
    case .client:
      _ = say(&client)
      try hostile(script, to: &client)
    case .between:
      let flight = try deliver(say(&client), to: &server)
      try hostile(script, to: &server)
      _ = try deliver(flight, to: &client)
    case .changed:
      try shakeHands(&server, &client, changes: script)
    case .established:
      try shakeHands(&server, &client)
      try hostile(script, to: &server)
    case .establishedClient:
      try shakeHands(&server, &client)
      try hostile(script, to: &client)
    case .records:
      try shakeHands(&server, &client)
      _ = try deliver(changed(say(&client), by: script), to: &server)
      _ = try deliver(changed(say(&server), by: script), to: &client)
    }
    try promise(client.sent.starts(with: server.received), "the server delivers what the client has not said")
    try promise(server.sent.starts(with: client.received), "the client delivers what the server has not said")
  }

  // MARK: What passes

  /// The next thing that an end says: its part of the handshake at first.
  private static func say(_ side: inout Side) -> [UInt8] {
    var plain = ByteQueue()
    plain.append(secret)
    var wire = ByteQueue()
    side.filter.send(&plain, into: &wire)
    side.sent += secret.prefix(secret.count - plain.count)
    return wire.copy()
  }

  /// - Returns: what the end answers by itself.
  private static func deliver(_ bytes: [UInt8], to side: inout Side) throws(BrokenPromise) -> [UInt8] {
    var plain = ByteQueue()
    var wire = ByteQueue()
    var failure: FilterFailure?
    do throws(FilterFailure) {
      try side.filter.receive(bytes.span.bytes, into: &plain, answering: &wire)
    } catch {
      failure = error
    }
    if side.failure != nil {
      try promise(failure == side.failure, "what has failed goes on")
      try promise(plain.isEmpty && wire.isEmpty, "what has failed says more")
    }
    try promise(wire.count <= answerBytesMax, "\(bytes.count) bytes are answered by \(wire.count)")
    side.failure = failure
    side.received += plain.copy()
    return wire.copy()
  }

  /// A server's flight with its certificate has some KiB.
  private static let answerBytesMax = 16 * 1024

  /// Delivers bytes whole, one by one, and cut off by the end.
  private static func hostile(_ bytes: [UInt8], to side: inout Side) throws(BrokenPromise) {
    let half = bytes.count / 2
    for byte in bytes[..<half] { _ = try deliver([byte], to: &side) }
    _ = try deliver(Array(bytes[half...]), to: &side)
    do throws(FilterFailure) {
      try side.filter.inputEnded(isMidway: false)
    } catch {
      side.failure = side.failure ?? error
    }
  }

  private static func shakeHands(
    _ server: inout Side, _ client: inout Side, changes: [UInt8] = []
  ) throws(BrokenPromise) {
    var toServer = changed(say(&client), by: changes)
    for _ in 0..<4 where !toServer.isEmpty {
      let toClient = changed(try deliver(toServer, to: &server), by: changes)
      toServer = try deliver(toClient, to: &client)
    }
    guard changes.isEmpty else { return }
    try promise(
      server.filter.isEstablished && client.filter.isEstablished,
      "a handshake that nobody disturbs comes to no end: \(String(describing: server.failure ?? client.failure))"
    )
  }

  /// Changes bytes: of each three of the script two are the place and one is what is added there; a place beyond the end
  /// cuts one byte off.
  private static func changed(_ bytes: [UInt8], by script: [UInt8]) -> [UInt8] {
    var bytes = bytes
    for index in stride(from: 0, to: script.count - script.count % 3, by: 3) {
      let place = Int(script[index]) << 8 | Int(script[index + 1])
      if place < bytes.count {
        bytes[place] &+= script[index + 2]
      } else if !bytes.isEmpty {
        bytes.removeLast()
      }
    }
    return bytes
  }
}
