import RPCWire

enum WireTargets {
  /// What decodes encodes to bytes that decode to the same; passing over it and checking it agree.
  static func value(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let value = try? Value(messagePack: bytes) else { return }
    let canonical = value.messagePack
    guard let again = try? Value(messagePack: canonical) else {
      throw BrokenPromise("what was encoded does not decode: \(value)")
    }
    try promise(again.messagePack == canonical, "\(value) changed on its way")

    var passing = MessagePackReader(bytes.span.bytes)
    try promise((try? passing.skip()) != nil && passing.remaining == 0, "skip and decode disagree: \(value)")
    let type = ValueType(describing: value)
    try promise(type.accepts(value) || hasUnknown(type), "\(type) does not accept what it describes")
    for type in [type, .any] {
      var checking = MessagePackReader(bytes.span.bytes)
      try promise((try? type.check(&checking)) != nil && checking.remaining == 0, "\(type) refuses \(value)")
    }
  }

  private static func hasUnknown(_ type: ValueType) -> Bool {
    switch type {
    case .unknown: true
    case .list(let element), .dict(let element), .optional(let element): hasUnknown(element)
    default: false
    }
  }

  // MARK: Frames

  /// The frames are the same however the stream is cut; their payloads survive encoding.
  static func frames(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let first = bytes.first else { return }
    let stream = Array(bytes.dropFirst())
    let whole = headers(in: stream, step: stream.count)
    let pieces = headers(in: stream, step: Int(first % 23) + 1)
    try promise(whole == pieces, "\(whole.count) frames at once, \(pieces.count) in pieces")
    var offset = 0
    for header in whole {
      let start = offset + FrameHeader.byteCount
      offset = start + Int(header.length)
      try payload(header, Array(stream[start..<offset]))
    }
  }

  /// Decodes a stream that arrives `step` bytes at a time.
  private static func headers(in stream: [UInt8], step: Int) -> [FrameHeader] {
    let decoder = FrameDecoder(frameBytesLimit: 1 << 16)
    var headers: [FrameHeader] = []
    var offset = 0
    var arrived = 0
    while arrived < stream.count {
      arrived = min(stream.count, arrived + max(1, step))
      let bytes = stream.span.bytes.extracting(0..<arrived)
      do {
        while let header = try decoder.next(in: bytes, at: offset) {
          headers.append(header)
          offset += FrameHeader.byteCount + Int(header.length)
        }
      } catch {
        return headers
      }
    }
    return headers
  }

  private static func payload(_ header: FrameHeader, _ payload: [UInt8]) throws(BrokenPromise) {
    let span = payload.span.bytes
    switch FrameKind(rawValue: header.kind) {
    case .hello: try survives(try? Hello(payload: span), { $0.encode(to: &$1) }, { try? Hello(payload: $0) })
    case .bind:
      try survives(
        try? Bind(payload: span), { $0.encode(to: &$1, callID: 1) }, { try? Bind(payload: $0) })
    case .bound:
      try survives(
        try? Bound(payload: span), { $0.encode(to: &$1, callID: 1) }, { try? Bound(payload: $0) })
    case .error:
      try survives(
        try? RPCError(payload: span), { $0.encode(to: &$1, callID: 1) }, { try? RPCError(payload: $0) })
    case .goAway:
      try survives(
        try? GoAway(header: header, payload: span), { $0.encode(to: &$1) },
        { try? GoAway(header: header, payload: $0) })
    case .proof: try survives(try? Proof(payload: span), { $0.encode(to: &$1) }, { try? Proof(payload: $0) })
    case .call, .reply: try value(payload)
    default: break
    }
  }

  private static func survives<Message: Equatable>(
    _ message: Message?, _ encode: (Message, inout ByteQueue) -> Void, _ decode: (RawSpan) -> Message?
  ) throws(BrokenPromise) {
    guard let message else { return }
    var queue = ByteQueue()
    encode(message, &queue)
    let bytes = queue.copy()
    let again = decode(bytes.span.bytes.extracting(FrameHeader.byteCount..<bytes.count))
    try promise(again == message, "\(message) came back as \(again.map { "\($0)" } ?? "nothing")")
  }

  // MARK: Types

  /// Swift types and declared types read the same bytes alike.
  static func typed(_ bytes: [UInt8]) throws(BrokenPromise) {
    try agrees(Int.self, bytes)
    try agrees(Double.self, bytes)
    try agrees(Bool.self, bytes)
    try agrees(String.self, bytes)
    try agrees(Bytes.self, bytes)
    try agrees([Int].self, bytes)
    try agrees([String?].self, bytes)
    try agrees([String: [Double]].self, bytes)
    try agrees([[Bytes]]?.self, bytes)
    try agrees(Value.self, bytes)
  }

  private static func agrees<T: RPCValue>(_ type: T.Type, _ bytes: [UInt8]) throws(BrokenPromise) {
    var checking = MessagePackReader(bytes.span.bytes)
    var decoding = MessagePackReader(bytes.span.bytes)
    let fits = (try? T.valueType.check(&checking)) != nil
    let refused: String
    do throws(WireError) {
      let value = try T.decode(from: &decoding)
      guard !fits || checking.offset != decoding.offset else { return }
      refused = "check refuses the \(T.valueType) \(value)"
    } catch {
      // Only decoding remembers which keys it saw.
      if case .duplicateKey = error { return }
      guard fits else { return }
      refused = "check takes for \(T.valueType) what cannot be decoded: \(error)"
    }
    throw BrokenPromise(refused)
  }

  /// A type's canonical spelling means the type.
  static func type(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let type = try? ValueType(parsing: String(decoding: bytes, as: UTF8.self)) else { return }
    let text = type.description
    try promise((try? ValueType(parsing: text)) == type, "'\(text)' does not mean what it describes")
    try promise(type.conversionCost(from: type) == 0, "\(text) does not fit itself")
  }
}
