internal import RPCWire

/// The dialects of a server, in the order in which they look at the first bytes of a connection.
internal struct Dialects {
  static let all: [any Dialect.Type] = [
    NativeDialect.self,
    JSONLinesDialect.self,
    HTTP1Dialect.self,
    GRPCDialect.self,
  ]

  /// The last words to a peer that speaks none of them: it can at least read a line.
  static func refuseUnrecognised(_ error: RPCError, into output: inout ByteQueue) {
    JSONDialect.appendException(error, id: nil, to: &output)
  }

  /// What a connection is to do that begins with these bytes.
  enum Choice {
    case filter(FilterEntry)
    case speak(any Dialect.Type)
    case wait(bytes: Int)
    case none
  }

  static func choose(
    _ first: RawSpan, alpn: String?, among dialects: [any Dialect.Type], filters: [FilterEntry] = []
  ) -> Choice {
    guard first.byteCount > 0 else { return .wait(bytes: 1) }
    var needed: Int?
    // True for what recognises the bytes. The least that one of them needs counts: another may not recognise it by then.
    func isChosen(_ recognition: Recognition) -> Bool {
      if case .needs(let bytes) = recognition {
        needed = min(needed ?? .max, max(bytes, first.byteCount + 1))
      }
      return recognition == .yes
    }
    for filter in filters where isChosen(filter.recognise(first)) { return .filter(filter) }
    for dialect in dialects where isChosen(dialect.recognise(first, alpn: alpn)) { return .speak(dialect) }
    return needed.map { .wait(bytes: $0) } ?? .none
  }
}
