/// A field of a request: where its name and its value stand, counted from the request's first byte.
package struct HTTP1Field {
  package var name: Range<Int>
  package var value: Range<Int>
  package var known: HTTP1KnownField?
}

/// The fields that mean something here. All of them have one value: none may come twice.
package enum HTTP1KnownField: UInt8, CaseIterable {
  case host, contentLength, transferEncoding, connection, expect, contentType, contentEncoding, origin
  case secFetchSite, authorization, connectTimeout, connectProtocolVersion, accessControlRequestMethod,
    grpcTimeout

  package var name: StaticString {
    switch self {
    case .host: "host"
    case .contentLength: "content-length"
    case .transferEncoding: "transfer-encoding"
    case .connection: "connection"
    case .expect: "expect"
    case .contentType: "content-type"
    case .contentEncoding: "content-encoding"
    case .origin: "origin"
    case .secFetchSite: "sec-fetch-site"
    case .authorization: "authorization"
    case .connectTimeout: "connect-timeout-ms"
    case .connectProtocolVersion: "connect-protocol-version"
    case .accessControlRequestMethod: "access-control-request-method"
    case .grpcTimeout: "grpc-timeout"
    }
  }

  /// Whether it may come in several lines, which together are one list.
  internal var isList: Bool { self == .connection }

  /// The field of this name, in whatever case it is written.
  @inline(__always)
  internal init?(_ name: UnsafeRawBufferPointer) {
    let candidates: [Self]
    switch name.count {
    case 4: candidates = Self.ofFour
    case 6: candidates = Self.ofSix
    case 10: candidates = Self.ofTen
    case 12: candidates = Self.ofTwelve
    case 13: candidates = Self.ofThirteen
    case 14: candidates = Self.ofFourteen
    case 16, 17, 18, 24, 29: candidates = Self.longer
    default: return nil
    }
    for candidate in candidates where name.isEqual(ignoringCase: candidate.name) {
      self = candidate
      return
    }
    return nil
  }

  private static let ofFour: [Self] = [.host]
  private static let ofSix: [Self] = [.expect, .origin]
  private static let ofTen: [Self] = [.connection]
  private static let ofTwelve: [Self] = [.contentType, .grpcTimeout]
  private static let ofThirteen: [Self] = [.authorization]
  private static let ofFourteen: [Self] = [.contentLength, .secFetchSite]
  private static let longer: [Self] = [
    .transferEncoding, .contentEncoding, .connectTimeout, .connectProtocolVersion,
    .accessControlRequestMethod,
  ]
}

extension UnsafeRawBufferPointer {
  /// Whether these are the letters of `text`, which is in lower case.
  internal func isEqual(ignoringCase text: StaticString) -> Bool {
    guard count == text.utf8CodeUnitCount else { return false }
    return text.withUTF8Buffer { wanted in
      for index in 0..<count {
        let byte = self[index]
        let lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
        guard lower == wanted[index] else { return false }
      }
      return true
    }
  }
}
