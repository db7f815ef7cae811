/// What can be wrong with bytes that a peer sent. Each case names what was found and, where there is one,
/// the limit, so that the peer can be told exactly.
public enum WireError: Error, Hashable, Sendable {
  /// The bytes end inside a value.
  case truncated
  /// A MessagePack type byte that this protocol does not use (extensions, 0xc1).
  case unsupportedType(UInt8)
  /// An unsigned integer above 2^63 - 1.
  case integerOutOfRange(UInt64)
  /// A string that is not UTF-8.
  case invalidUTF8
  /// Lists or maps nested deeper than the limit.
  case nestedTooDeep(limit: Int)
  /// A map key that is not a string.
  case nonStringKey
  /// The same key twice in one map.
  case duplicateKey(String)
  /// Another type than the one asked for.
  case unexpectedType(expected: String, found: String)
  /// Bytes after the end of a value that should have been the last.
  case trailingBytes(Int)
  /// A frame whose length is above the limit.
  case frameTooLarge(actual: Int, limit: Int)
  /// A frame kind that this version does not know.
  case unknownFrameKind(UInt8)
  /// A frame whose payload does not have the layout of its kind.
  case malformedFrame(String)
  /// A count or length above the limit.
  case tooMany(what: String, actual: Int, limit: Int)
}

extension WireError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .truncated: "the bytes end inside a value"
    case .unsupportedType(let byte):
      "MessagePack type 0x\(String(byte, radix: 16)) is not used by this protocol"
    case .integerOutOfRange(let value): "\(value) does not fit a signed 64-bit integer"
    case .invalidUTF8: "a string is not valid UTF-8"
    case .nestedTooDeep(let limit): "lists and maps nest deeper than \(limit) levels"
    case .nonStringKey: "a map has a key that is not a string"
    case .duplicateKey(let key): "a map has the key '\(key)' twice"
    case .unexpectedType(let expected, let found): "expected \(expected), found \(found)"
    case .trailingBytes(let count):
      "\(count) \(count == 1 ? "byte follows" : "bytes follow") the end of the value"
    case .frameTooLarge(let actual, let limit):
      "a frame of \(actual) bytes is larger than the limit of \(limit) bytes"
    case .unknownFrameKind(let kind): "frame kind \(kind) is unknown"
    case .malformedFrame(let what): what
    case .tooMany(let what, let actual, let limit): "\(actual) \(what), the limit is \(limit)"
    }
  }
}
