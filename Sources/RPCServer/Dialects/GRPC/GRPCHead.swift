internal import Glibc
internal import RPCWire

/// The header fields of a request that count.
internal struct GRPCHead {
  enum Content {
    case none
    case grpc
    case web
    case webText
    /// Something else.
    case other
  }

  /// What is wrong with the fields, where something is.
  enum Problem {
    case malformedTimeout
    case tooManyFields(Int)
    case tooManyBytes(Int)
    /// It was sent by a page in a browser.
    case fromBrowser
    case malformedMetadata(String)
  }

  var isPost = false
  var target = GRPCTarget.unknown
  /// What the path was, where it leads nowhere.
  var path = ""
  var content = Content.none
  /// Nanoseconds, 0 for none.
  var timeout: UInt64 = 0
  /// How messages are compressed, where they are.
  var encoding: [UInt8] = []
  var problem: Problem?
  /// Names and values for the procedure.
  private var metadata: [(name: String, value: Value)] = []
  private var fields = 0
  private var bytes = 0

  init() {}

  mutating func reset() {
    isPost = false
    target = .unknown
    if !path.isEmpty { path = "" }
    content = .none
    timeout = 0
    if !encoding.isEmpty { encoding = [] }
    problem = nil
    if !metadata.isEmpty { metadata.removeAll() }
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
    guard case .procedure(let method) = target else { return false }
    // A closure that runs where its call is read sees none.
    return method.procedure.spotBytesMax < 0 && problem == nil
  }

  /// Takes one regular field.
  mutating func take(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    switch name.count {
    case 2 where name.equals("te"): return
    case 4 where name.equals("host"): return
    case 6 where name.equals("cookie"): return
    case 6 where name.equals("origin"): problem = .fromBrowser
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
    case 13 where name.equals("authorization"): return
    case 14 where name.equals("sec-fetch-site"): problem = .fromBrowser
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
    let isBinary = name.count > 4 && name.suffix(4).elementsEqual("-bin".utf8)
    if isBinary {
      for part in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
        var text = String(decoding: part, as: UTF8.self)
        while text.utf8.count % 4 != 0 { text += "=" }
        guard let bytes = Base64.decode(text) else {
          return problem = .malformedMetadata(String(decoding: name, as: UTF8.self))
        }
        metadata.append((String(decoding: name, as: UTF8.self), .bytes(bytes)))
      }
    } else {
      metadata.append(
        (String(decoding: name, as: UTF8.self), .string(String(decoding: value, as: UTF8.self))))
    }
  }

  /// The metadata as a MessagePack map; several texts of one name are one with commas in between.
  func metadataMap() -> [UInt8] {
    guard !metadata.isEmpty else { return [] }
    var entries: [Value.Entry] = []
    for (name, value) in metadata where name != CallFrame.depthKey {
      if let index = entries.firstIndex(where: { $0.key == name }) {
        if case .string(let first) = entries[index].value, case .string(let next) = value {
          entries[index].value = .string("\(first), \(next)")
        } else {
          entries[index].value = value
        }
      } else {
        entries.append(Value.Entry(name, value))
      }
    }
    return Value.map(entries).messagePack
  }

  /// `application/grpc`, with `+proto` or without, and what belongs to gRPC-Web.
  private static func content(_ value: UnsafeBufferPointer<UInt8>) -> Content {
    if value.equals("application/grpc") { return .grpc }
    let type = value.prefix { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: " ") }
    switch String(decoding: type, as: UTF8.self).lowercased() {
    case "application/grpc", "application/grpc+proto": return .grpc
    case "application/grpc-web", "application/grpc-web+proto": return .web
    case "application/grpc-web-text", "application/grpc-web-text+proto": return .webText
    default: return .other
    }
  }
}

extension UnsafeBufferPointer where Element == UInt8 {
  /// Whether it holds the bytes of a text.
  @inline(__always)
  func equals(_ text: StaticString) -> Bool {
    count == text.utf8CodeUnitCount && (count == 0 || memcmp(baseAddress!, text.utf8Start, count) == 0)
  }
}
