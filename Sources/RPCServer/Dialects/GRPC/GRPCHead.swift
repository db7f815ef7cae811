internal import Glibc
internal import RPCWire

/// The header fields of a request that count.
internal struct GRPCHead {
  enum Content {
    case none
    case grpc
    case web
    case webText
    /// Something else, which may be one of the formats of Connect.
    case other(String)
  }

  /// What is wrong with the fields, where something is.
  enum Problem {
    case malformedTimeout
    case tooManyFields(Int)
    case tooManyBytes(Int)
    case malformedMetadata(String)
  }

  var isPost = false
  var isOptions = false
  var isHead = false
  /// GET or HEAD.
  var isRead = false
  var target = GRPCTarget.unknown
  var content = Content.none
  /// Nanoseconds, 0 for none.
  var timeout: UInt64 = 0
  /// How messages are compressed, where they are.
  var encoding: [UInt8] = []
  var problem: Problem?
  /// `origin` and `sec-fetch-site`, which browsers send.
  private(set) var origin: String?
  private(set) var site: String?
  /// Who calls, where the request says so: a token.
  private(set) var authorization: String?
  private(set) var connectVersion: String?
  private(set) var connectTimeout: String?
  private(set) var contentEncoding: String?
  /// The origin that may read the answer.
  var allowedOrigin: String?
  /// `:path`, `:authority` or `host`, and what is for the procedure, as they came: read when somebody asks.
  private let texts = HeaderFields()
  private var fields = 0
  private var bytes = 0

  init() {}

  mutating func reset() {
    isPost = false
    isOptions = false
    isHead = false
    isRead = false
    target = .unknown
    content = .none
    timeout = 0
    if !encoding.isEmpty { encoding = [] }
    problem = nil
    if origin != nil { origin = nil }
    if site != nil { site = nil }
    if authorization != nil { authorization = nil }
    if connectVersion != nil { connectVersion = nil }
    if connectTimeout != nil { connectTimeout = nil }
    if contentEncoding != nil { contentEncoding = nil }
    if allowedOrigin != nil { allowedOrigin = nil }
    texts.removeAll()
    fields = 0
    bytes = 0
  }

  /// Counts one field; false where the block has so many that the connection is to end.
  @inline(__always)
  mutating func count(_ byteCount: Int) -> Bool {
    fields += 1
    bytes += byteCount + 32
    if fields > GRPCLimits.headerFieldsMax {
      if fields > GRPCLimits.headerFieldsFatal { return false }
      problem = .tooManyFields(fields)
    } else if bytes > GRPCLimits.headerBytesMax {
      problem = .tooManyBytes(bytes)
    }
    return true
  }

  /// Whether a field of metadata may still be taken.
  private var takesMetadata: Bool {
    if case .builtin = target { return false }
    return problem == nil
  }

  // In place, as every change of a head: what is called on it otherwise gets a copy of all of it.
  /// Takes `:path`.
  mutating func take(path value: UnsafeBufferPointer<UInt8>) { texts.setPath(value) }

  var path: String { texts.pathText }
  var pathWithoutQuery: String { String(path.prefix { $0 != "?" }) }

  var query: [UInt8] { Array(path.utf8.drop { $0 != UInt8(ascii: "?") }.dropFirst()) }

  /// Takes `:authority`.
  mutating func take(authority value: UnsafeBufferPointer<UInt8>) { texts.setAuthority(value) }

  var hostName: String { texts.authorityText }

  /// Whether it is neither gRPC nor gRPC-Web, so that its answer is told as HTTP.
  var isOther: Bool {
    switch content {
    case .none, .other: true
    case .grpc, .web, .webText: false
    }
  }

  var isGRPC: Bool { if case .grpc = content { true } else { false } }
  var isWeb: Bool { if case .web = content { true } else { false } }
  var isWebText: Bool { if case .webText = content { true } else { false } }

  /// Whether a browser sent it.
  var isFromBrowser: Bool { origin != nil || site != nil }

  /// Takes one regular field.
  mutating func take(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    switch name.count {
    case 2 where name.equals("te"): return
    case 4 where name.equals("host"):
      if !texts.hasAuthority { take(authority: value) }
      return
    case 6 where name.equals("cookie"): return
    case 6 where name.equals("origin"): origin = Self.text(value)
    case 12 where name.equals("content-type"):
      content = Self.content(value)
      return
    case 12 where name.equals("grpc-timeout"):
      guard let nanoseconds = GRPCTimeout.nanoseconds(value) else { return problem = .malformedTimeout }
      timeout = nanoseconds
      return
    case 13 where name.equals("grpc-encoding"):
      if !value.equals("identity") { encoding = Array(value) }
      return
    case 13 where name.equals("authorization"):
      authorization = Self.text(value)
      return
    case 14 where name.equals("sec-fetch-site"): site = Self.text(value)
    case 16 where name.equals("content-encoding"):
      contentEncoding = Self.text(value)
      return
    case 18 where name.equals("connect-timeout-ms"):
      connectTimeout = Self.text(value)
      return
    case 19 where name.equals("proxy-authorization"): return
    case 24 where name.equals("connect-protocol-version"):
      connectVersion = Self.text(value)
      return
    case 14 where name.equals("content-length"): return
    case 15 where name.equals("accept-encoding"): return
    case 20 where name.equals("grpc-accept-encoding"): return
    case 25 where name.equals("grpc-previous-rpc-attempts"): return
    default: break
    }
    guard takesMetadata else { return }
    keep(name, value)
  }

  /// `-bin` values are bytes, which travel as base64 with or without padding.
  private mutating func keep(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    if HeaderFields.isBinary(name), HeaderFields.bytes(value) == nil {
      return problem = .malformedMetadata(String(decoding: name, as: UTF8.self))
    }
    texts.append(name, value)
  }

  /// The metadata as a MessagePack map; several texts of one name are one with commas in between.
  func metadataMap() -> [UInt8] {
    var entries: [Value.Entry] = []
    texts.forEach { name, value in
      guard !CallFrame.reservedKeys.contains(name) else { return }
      guard let index = entries.firstIndex(where: { $0.key == name }) else {
        return entries.append(Value.Entry(name, value))
      }
      if case .string(let first) = entries[index].value, case .string(let next) = value {
        entries[index].value = .string("\(first), \(next)")
      } else {
        entries[index].value = value
      }
    }
    return entries.isEmpty ? [] : Value.map(entries).messagePack
  }

  /// `application/grpc`, with `+proto` or without, and what belongs to gRPC-Web.
  private static func content(_ value: UnsafeBufferPointer<UInt8>) -> Content {
    if value.equals("application/grpc") { return .grpc }
    let type = value.prefix { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: " ") }
    switch String(decoding: type, as: UTF8.self).lowercased() {
    case "application/grpc", "application/grpc+proto": return .grpc
    case "application/grpc-web", "application/grpc-web+proto": return .web
    case "application/grpc-web-text", "application/grpc-web-text+proto": return .webText
    default: return .other(text(value))
    }
  }

  private static func text(_ value: UnsafeBufferPointer<UInt8>) -> String {
    String(decoding: value, as: UTF8.self)
  }
}

extension UnsafeBufferPointer where Element == UInt8 {
  /// Whether it holds the bytes of a text.
  @inline(__always)
  func equals(_ text: StaticString) -> Bool {
    guard count == text.utf8CodeUnitCount, let baseAddress else { return false }
    return memcmp(baseAddress, text.utf8Start, count) == 0
  }
}
