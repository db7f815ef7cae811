internal import Glibc
internal import HTTPTypes
internal import RPCTransport
internal import RPCWire

/// The heads of the calls that came last, with what was decided by them: most clients send the same bytes again and
/// again. Kept for all connections of a loop, so it holds nothing that is a connection's: whether the caller may call is
/// asked each time.
internal struct HTTP1KnownHeads {
  struct Entry {
    let bytes: [UInt8]
    let head: HTTP1Head
    /// Without its caller's token, which such a head has not.
    let call: HTTP1Call
  }

  private var entries: [Entry] = []
  private var next = 0

  /// Heads that are kept.
  static let countMax = 8
  /// Bytes of one of them.
  static let bytesMax = 1024

  /// The entry whose bytes a request begins with, decided on in this generation.
  func find(_ request: RawSpan, generation: Int) -> Entry? {
    request.withUnsafeBytes { request in
      entries.first { entry in
        guard entry.call.generation == generation, request.count >= entry.bytes.count else { return false }
        return entry.bytes.withUnsafeBytes {
          memcmp($0.baseAddress.unsafelyUnwrapped, request.baseAddress.unsafelyUnwrapped, $0.count) == 0
        }
      }
    }
  }

  /// Keeps a head that ends in front of a body of known length, and that nobody but its connection's caller sends. One that
  /// came in pieces may be here already.
  mutating func keep(_ request: RawSpan, _ head: HTTP1Head, end: Int, _ call: HTTP1Call) {
    guard end <= Self.bytesMax, call.token == nil, call.message == nil, !head.isChunked,
      !head.expectsContinue, head.method == .post, find(request, generation: call.generation) == nil
    else { return }
    let entry = Entry(
      bytes: request.extracting(0..<end).withUnsafeBytes { Array($0) }, head: head, call: call)
    if entries.count < Self.countMax {
      entries.append(entry)
    } else {
      entries[next] = entry
      next = (next + 1) % Self.countMax
    }
  }

  /// What was decided may be wrong now.
  mutating func removeAll() { entries = [] }
}
