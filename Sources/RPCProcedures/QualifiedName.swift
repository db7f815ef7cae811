/// `service.procedure`.
public struct QualifiedName: Hashable, Sendable, CustomStringConvertible {
  public var service: String
  public var procedure: String

  public init(service: String, procedure: String) {
    self.service = service
    self.procedure = procedure
  }

  /// Splits at the first dot; nil where there is none or a side is empty.
  public init?(_ text: String) {
    guard let dot = text.firstIndex(of: "."), dot != text.startIndex, text.index(after: dot) != text.endIndex
    else { return nil }
    service = String(text[..<dot])
    procedure = String(text[text.index(after: dot)...])
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
