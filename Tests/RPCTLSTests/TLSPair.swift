import RPCKeys
import RPCSystem
import RPCTransport
import RPCWire
import Testing

@testable import RPCTLS

/// A server's and a client's filter against each other, in memory: bytes are carried over in pieces of a given size.
final class TLSPair {
  struct Side {
    let filter: TLSFilter
    /// What came out for the handler, and what is to be sent.
    var received: [UInt8] = []
    var toSend: [UInt8] = []
    var failure: FilterFailure?
  }

  var server: Side
  var client: Side
  let chunk: Int

  init(server: TLSFilter, client: TLSFilter, chunk: Int = .max) {
    self.server = Side(filter: server)
    self.client = Side(filter: client)
    self.chunk = chunk
  }

  static let identity = makeIdentity(hosts: ["localhost", "example.test"], addresses: ["127.0.0.1"])

  static func makeIdentity(hosts: [String], addresses: [String] = []) -> TLSIdentity {
    do {
      let key = try TLSIdentity.makeKey()
      let chain = try TLSIdentity.makeCertificate(key: key, name: "test", addresses: addresses, hosts: hosts)
      return try TLSIdentity(chain: chain, key: key, source: "made here")
    } catch {
      fatalError("\(error)")
    }
  }

  static func serverContext(
    _ identities: [TLSIdentity] = [identity], protocols: [String] = ["h2", "http/1.1", "simplerpc/1"],
    trust: ClientTrust = ClientTrust(), ticketKeys: TicketKeys = TicketKeys()
  ) throws -> TLSServerContext {
    try TLSServerContext(identities: identities, protocols: protocols, trust: trust, ticketKeys: ticketKeys)
  }

  static func made(
    chunk: Int = .max, trust: ServerTrust = .pin(identity.pin), host: String = "127.0.0.1",
    isAddress: Bool = true,
    context: TLSServerContext? = nil
  ) throws -> TLSPair {
    let context = try context ?? serverContext()
    let client = try TLSClientContext.context(for: trust).makeFilter(host: host, isAddress: isAddress)
    return TLSPair(server: try context.makeFilter(), client: client, chunk: chunk)
  }

  /// Carries bytes to and fro until nobody has any.
  func run() {
    var isMoving = true
    while isMoving {
      let toServer = Self.send(&client)
      let toClient = Self.send(&server)
      isMoving = !toServer.isEmpty || !toClient.isEmpty
      var answers = Self.receive(toServer, &server, chunk: chunk)
      var back = Self.receive(toClient, &client, chunk: chunk)
      while !answers.isEmpty || !back.isEmpty {
        let (first, second) = (answers, back)
        back = Self.receive(first, &client, chunk: chunk)
        answers = Self.receive(second, &server, chunk: chunk)
      }
    }
  }

  static func send(_ side: inout Side) -> [UInt8] {
    var plain = ByteQueue()
    plain.append(side.toSend)
    var wire = ByteQueue()
    side.filter.send(&plain, into: &wire)
    side.toSend = plain.copy()
    return wire.copy()
  }

  /// - Returns: what the filter answers.
  static func receive(_ bytes: [UInt8], _ side: inout Side, chunk: Int) -> [UInt8] {
    var wire = ByteQueue()
    var offset = 0
    while offset < bytes.count {
      let end = offset + min(chunk, bytes.count - offset)
      var plain = ByteQueue()
      do throws(FilterFailure) {
        try side.filter.receive(Array(bytes[offset..<end]).span.bytes, into: &plain, answering: &wire)
      } catch {
        side.failure = error
      }
      side.received += plain.copy()
      offset = end
    }
    return wire.copy()
  }
}
