package import HTTPTypes

/// The request line and the fields of one request. Places are counted from the request's first byte.
package struct HTTP1Head {
  /// How the path and the query are written.
  package enum Form {
    /// `/math/add`
    case origin
    /// `http://host/math/add`, as to a proxy.
    case absolute
    /// `*`, of OPTIONS alone.
    case asterisk
  }

  package internal(set) var method: HTTPRequest.Method = .get
  package internal(set) var form = Form.origin
  /// Path and query, without scheme and authority.
  package internal(set) var target = 0..<0
  /// The authority of an absolute target.
  package internal(set) var authority: Range<Int>?
  /// 0 or 1: HTTP/1.0 or HTTP/1.1.
  package internal(set) var minorVersion = 1
  package internal(set) var fields: ContiguousArray<HTTP1Field> = []
  /// Bytes of the body, where it is not chunked.
  package internal(set) var contentLength = 0
  package internal(set) var isChunked = false
  /// The client waits for `100 Continue` before it sends the body.
  package internal(set) var expectsContinue = false
  /// The connection ends with the answer.
  package internal(set) var closes = false
  private var seen: UInt32 = 0

  internal mutating func removeAll() {
    fields.removeAll(keepingCapacity: true)
    authority = nil
    contentLength = 0
    isChunked = false
    expectsContinue = false
    closes = false
    seen = 0
  }

  /// Notes that a field came; false where it came before.
  internal mutating func note(_ known: HTTP1KnownField) -> Bool {
    let bit: UInt32 = 1 << UInt32(known.rawValue)
    defer { seen |= bit }
    return seen & bit == 0
  }

  package func has(_ known: HTTP1KnownField) -> Bool { seen & 1 << UInt32(known.rawValue) != 0 }

  /// Where the value of a field stands.
  package func range(of known: HTTP1KnownField) -> Range<Int>? {
    guard has(known) else { return nil }
    return fields.first { $0.known == known }?.value
  }

  /// The value of a field; bytes that are not UTF-8 become U+FFFD.
  package func text(of known: HTTP1KnownField, in bytes: RawSpan) -> String? {
    range(of: known).map { bytes.text($0) }
  }
}

extension RawSpan {
  /// A part as text; bytes that are not UTF-8 become U+FFFD.
  internal func text(_ range: Range<Int>) -> String {
    extracting(range).withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
  }

  internal func isEqual(_ range: Range<Int>, ignoringCase text: StaticString) -> Bool {
    extracting(range).withUnsafeBytes { $0.isEqual(ignoringCase: text) }
  }
}
