import RPCKeys
import RPCSystem
import RPCTransport
import RPCWire
import TestSupport
import Testing

@testable import RPCTLS

@Suite("TLS between two filters")
struct TLSFilterTests {
  private static let message = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }

  @Test(
    "all bytes pass both ways, however they are cut", arguments: [1, 2, 5, 16, 100, 1500, 16_401, Int.max])
  func passes(chunk: Int) throws {
    let pair = try TLSPair.made(chunk: chunk)
    let count = chunk < 16 ? 3000 : Self.message.count
    pair.client.toSend = Array(Self.message.prefix(count))
    pair.server.toSend = Array(Self.message.prefix(count).reversed())
    pair.run()
    #expect(pair.server.failure == nil && pair.client.failure == nil)
    #expect(pair.server.received == Array(Self.message.prefix(count)))
    #expect(pair.client.received == Array(Self.message.prefix(count).reversed()))
    #expect(pair.server.filter.isEstablished && pair.client.filter.isEstablished)
    #expect(pair.server.filter.applicationProtocol == "simplerpc/1")
    #expect(pair.client.filter.applicationProtocol == "simplerpc/1")
  }

  @Test("both ends know the same 32 bytes of the channel, other ones on each connection")
  func channelBinding() throws {
    let bindings = try (0..<2).map { _ in
      let pair = try TLSPair.made()
      pair.client.toSend = [1]
      pair.run()
      #expect(pair.client.filter.channelBinding == pair.server.filter.channelBinding)
      return pair.client.filter.channelBinding
    }
    #expect(bindings.allSatisfy { $0.count == 32 } && bindings[0] != bindings[1])
  }

  @Test("no more records are made than the bound on what waits, and the rest stays")
  func boundsRecords() throws {
    let pair = try TLSPair.made()
    pair.client.toSend = [1]
    pair.run()
    var plain = ByteQueue()
    plain.append([UInt8](repeating: 1, count: TLSLimits.wireBytesMax * 3))
    var wire = ByteQueue()
    pair.client.filter.send(&plain, into: &wire)
    #expect(plain.count == TLSLimits.wireBytesMax * 2)
    #expect(wire.count > TLSLimits.wireBytesMax && wire.count < TLSLimits.wireBytesMax * 11 / 10)
  }

  @Test("the end that a side says reaches the other, and an end without it between messages is none of harm")
  func ends() throws {
    let pair = try TLSPair.made()
    pair.client.toSend = [1, 2, 3]
    pair.run()
    try pair.server.filter.inputEnded(isMidway: false)
    #expect(throws: FilterFailure.self) { try pair.server.filter.inputEnded(isMidway: true) }
    var wire = ByteQueue()
    pair.client.filter.end(into: &wire)
    #expect(!pair.server.filter.peerHasEnded)
    _ = TLSPair.receive(wire.copy(), &pair.server, chunk: 1)
    #expect(pair.server.filter.peerHasEnded)
    try pair.server.filter.inputEnded(isMidway: true)
  }

  @Test("an input that ends within a record, or within the handshake, was cut off")
  func cutOff() throws {
    let pair = try TLSPair.made()
    let hello = TLSPair.send(&pair.client)
    _ = TLSPair.receive(Array(hello.prefix(20)), &pair.server, chunk: 20)
    #expect(throws: FilterFailure("the connection ended within the TLS handshake")) {
      try pair.server.filter.inputEnded(isMidway: false)
    }
    let other = try TLSPair.made()
    other.client.toSend = [1]
    other.run()
    other.client.toSend = [1, 2, 3]
    let record = TLSPair.send(&other.client)
    _ = TLSPair.receive(Array(record.dropLast()), &other.server, chunk: .max)
    #expect(throws: FilterFailure.self) { try other.server.filter.inputEnded(isMidway: false) }
  }

  @Test("any byte that was changed on the way ends the connection, and nothing of its record is delivered")
  func tampering() throws {
    for position in 0..<40 {
      let pair = try TLSPair.made()
      pair.client.toSend = [1]
      pair.run()
      pair.client.toSend = Array("a secret".utf8)
      var record = TLSPair.send(&pair.client)
      guard position < record.count else { continue }
      record[position] ^= 1
      _ = TLSPair.receive(record + [UInt8](repeating: 0, count: 70_000), &pair.server, chunk: .max)
      #expect(pair.server.failure != nil, "at \(position)")
      #expect(pair.server.received == [1])
    }
  }

  @Test("random bytes in place of any part of a handshake never do more than end it", arguments: 0..<60)
  func garbage(seed: Int) throws {
    var random = SeededRandom(seed: UInt64(seed))
    let pair = try TLSPair.made()
    var hello = TLSPair.send(&pair.client)
    for _ in 0..<random.next() % 8 + 1 {
      hello[Int(random.next() % UInt64(hello.count))] = UInt8(truncatingIfNeeded: random.next())
    }
    _ = TLSPair.receive(hello, &pair.server, chunk: Int(random.next() % 50) + 1)
    #expect(!pair.server.filter.isEstablished && pair.server.received.isEmpty)
  }

  @Test("TLS 1.2 is refused with an alert")
  func oldVersion() throws {
    let pair = try TLSPair.made()
    let hello = TLSPair.send(&pair.client)
    // supported_versions (43) is what makes it a hello of 1.3: without it, it is one of 1.2.
    let versions: [UInt8] = [0, 43, 0, 3, 2, 3, 4]
    let at = try #require(hello.indices.first { hello[$0...].starts(with: versions) })
    var old = hello
    old[at + 6] = 3
    let answer = TLSPair.receive(old, &pair.server, chunk: .max)
    #expect(pair.server.failure?.description.contains("unsupported protocol") == true)
    #expect(Array(answer.prefix(3)) == [21, 3, 3] && answer.last == 70)
  }

  @Test("a client of no protocol that is spoken here is refused; one that names none is not")
  func protocols() throws {
    let pair = try TLSPair.made(context: TLSPair.serverContext(protocols: ["h2"]))
    pair.client.toSend = [1]
    pair.run()
    #expect(pair.server.failure?.description == "the TLS handshake failed: no application protocol")
    #expect(pair.client.failure?.description.contains("no application protocol") == true)
  }
}
