package import RPCTransport
package import RPCWire

/// A stand-in for TLS: each side begins with `REC`, then come records of a length (16 bits, little-endian) and as many
/// bytes, each changed by 0x5a. A record of no bytes is the end.
package final class RecordFilter: ByteFilter {
  package static let greeting = Array("REC".utf8)
  package static let recordMax = 1000
  package let applicationProtocol: String?
  private var kept: [UInt8] = []
  private var isGreeted = false
  private var hasGreeted = false
  package private(set) var peerHasEnded = false

  package init(applicationProtocol: String? = nil) {
    self.applicationProtocol = applicationProtocol
  }

  package func receive(
    _ bytes: RawSpan, into plain: inout ByteQueue, answering wire: inout ByteQueue
  ) throws(FilterFailure) {
    kept += bytes.withUnsafeBytes { Array($0) }
    greet(&wire)
    if !isGreeted {
      guard Self.greeting.starts(with: kept.prefix(3)) else { throw FilterFailure("no greeting") }
      guard kept.count >= 3 else { return }
      isGreeted = true
      kept.removeFirst(3)
    }
    var offset = 0
    defer { kept.removeFirst(offset) }
    while kept.count - offset >= 2 {
      let length = Int(kept[offset]) | Int(kept[offset + 1]) << 8
      guard length <= Self.recordMax else { throw FilterFailure("a record of \(length) bytes") }
      guard kept.count - offset >= 2 + length else { return }
      if length == 0 { peerHasEnded = true }
      for byte in kept[offset + 2..<offset + 2 + length] { plain.append(byte ^ 0x5a) }
      offset += 2 + length
    }
  }

  package func send(_ plain: inout ByteQueue, into wire: inout ByteQueue) {
    greet(&wire)
    guard isGreeted else { return }
    while !plain.isEmpty {
      let record = plain.bytes.withUnsafeBytes { Array($0.prefix(Self.recordMax)) }
      plain.consume(record.count)
      wire.append(UInt8(record.count & 0xff))
      wire.append(UInt8(record.count >> 8))
      for byte in record { wire.append(byte ^ 0x5a) }
    }
  }

  package func end(into wire: inout ByteQueue) {
    wire.append(0)
    wire.append(0)
  }

  package func inputEnded(isMidway: Bool) throws(FilterFailure) {
    guard peerHasEnded else { throw FilterFailure("the input was cut off") }
  }

  private func greet(_ wire: inout ByteQueue) {
    guard !hasGreeted else { return }
    hasGreeted = true
    for byte in Self.greeting { wire.append(byte) }
  }

  // MARK: The other side, as bytes

  /// What a peer sends that says `bytes`, in records of at most `size`.
  package static func encoded(_ bytes: [UInt8], size: Int = recordMax, ends: Bool = true) -> [UInt8] {
    var wire = greeting
    var offset = 0
    while offset < bytes.count {
      let record = bytes[offset..<min(offset + size, bytes.count)]
      wire += [UInt8(record.count & 0xff), UInt8(record.count >> 8)] + record.map { $0 ^ 0x5a }
      offset += record.count
    }
    return ends ? wire + [0, 0] : wire
  }

  /// What was said by these bytes; nil where they are not whole records behind a greeting.
  package static func decoded(_ wire: [UInt8]) -> (bytes: [UInt8], hasEnded: Bool)? {
    guard wire.starts(with: greeting) else { return nil }
    var bytes: [UInt8] = []
    var offset = 3
    while offset < wire.count {
      guard offset + 2 <= wire.count else { return nil }
      let length = Int(wire[offset]) | Int(wire[offset + 1]) << 8
      guard offset + 2 + length <= wire.count else { return nil }
      if length == 0 { return offset + 2 == wire.count ? (bytes, true) : nil }
      bytes += wire[offset + 2..<offset + 2 + length].map { $0 ^ 0x5a }
      offset += 2 + length
    }
    return (bytes, false)
  }
}
