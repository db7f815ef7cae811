import RPCTransport
import RPCWire
import TestSupport
import Testing

@testable import RPCServer

@Suite("Filters between socket and dialect")
struct FilterTests {
  /// Asked for by its greeting, byte by byte too.
  private static func entry(agreeingOn alpn: String? = nil) -> FilterEntry {
    FilterEntry { first in
      let bytes = first.withUnsafeBytes { Array($0.prefix(3)) }
      guard RecordFilter.greeting.starts(with: bytes) else { return .no }
      return bytes.count == 3 ? .yes : .needs(bytes: 3)
    } make: {
      RecordFilter(applicationProtocol: alpn)
    }
  }

  @Test("each dialect is spoken through a filter, and beside it without one", arguments: [1, 3, 4, 1000])
  func dialects(chunk: Int) throws {
    let server = try TestServer { $0.filters = [Self.entry()] }
    let request = #"{"header":"RPC-REQ","value":{"service":"math","rpc":"add","arguments":[1,2]}}"# + "\n"
    let plain = try RawPeer(port: server.port)
    plain.send(Array(request.utf8))
    let answer = try #require(plain.nextLine())

    let filtered = try RawPeer(port: server.port)
    let wire = RecordFilter.encoded(Array(request.utf8), size: 50)
    for start in stride(from: 0, to: wire.count, by: chunk) {
      filtered.send(Array(wire[start..<min(start + chunk, wire.count)]))
    }
    filtered.endSending()
    let decoded = try #require(RecordFilter.decoded(filtered.everything()))
    #expect(String(decoding: decoded.bytes, as: UTF8.self) == answer + "\n")
    #expect(decoded.hasEnded)
  }

  @Test("what was agreed on inside the filter decides about the dialect")
  func agreed() throws {
    let server = try TestServer { $0.filters = [Self.entry(agreeingOn: "unknown")] }
    let peer = try RawPeer(port: server.port)
    peer.send(RecordFilter.encoded(Array("{}\n".utf8)))
    peer.endSending()
    let decoded = try #require(RecordFilter.decoded(peer.everything()))
    #expect(String(decoding: decoded.bytes, as: UTF8.self).contains("unknown protocol"))
  }
}
