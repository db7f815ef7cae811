package import RPCWire

/// `service.procedure`.
public struct QualifiedName: Hashable, Sendable, CustomStringConvertible {
  @ComparedByUTF8 package var service: String
  @ComparedByUTF8 package var procedure: String

  package init(service: String, procedure: String) {
    self.service = service
    self.procedure = procedure
  }

  /// Splits at the first dot; nil where there is none or a side is empty.
  package init?(_ text: String) {
    let bytes = text.utf8
    guard let dot = bytes.firstIndex(of: UInt8(ascii: ".")), dot != bytes.startIndex,
      case let next = bytes.index(after: dot), next != bytes.endIndex
    else { return nil }
    self.init(service: String(text[..<dot]), procedure: String(text[next...]))
  }

  public var description: String { "\(service).\(procedure)" }
}

extension QualifiedName: ExpressibleByStringLiteral {
  /// A literal without a dot is a mistake of the program.
  public init(stringLiteral text: String) {
    guard let name = QualifiedName(text) else {
      preconditionFailure("a procedure is named 'service.procedure', not '\(text)'")
    }
    self = name
  }
}
