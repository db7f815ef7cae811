package import RPCWire

/// What one value is in protobuf: a scalar, or a message.
package indirect enum ProtoElement: Hashable, Sendable {
  /// `int64`.
  case int
  /// `double`.
  case float
  case bool
  /// `google.protobuf.NullValue`.
  case null
  case string
  case bytes
  /// `google.protobuf.Value`.
  case any
  /// A message with one field of the number 1, for what protobuf cannot put into a list, a map or an optional field.
  case wrapper(ProtoWrapper)
}

/// A message around a list, a dictionary or an optional value: `ListOfInt`, `DictOfStr`, `OptionalFloat`.
package struct ProtoWrapper: Hashable, Sendable {
  package var name: String
  package var form: ProtoForm

  /// The name of its only field.
  package var fieldName: String {
    if case .single = form { "value" } else { "values" }
  }
}

/// How a value of a declared type stands in a field.
package indirect enum ProtoForm: Hashable, Sendable {
  /// Where it is not optional, a field that is missing is the type's zero.
  case single(ProtoElement, isOptional: Bool)
  case list(ProtoElement)
  /// A map with string keys.
  case map(ProtoElement)

  /// The form of a declared type.
  package init(_ type: ValueType) {
    switch type {
    case .int, .float, .string, .bool, .bytes, .none, .any, .unknown:
      self = .single(ProtoElement(type), isOptional: false)
    case .list(let element): self = .list(ProtoElement(element))
    case .dict(let element): self = .map(ProtoElement(element))
    case .optional(let wrapped):
      switch wrapped {
      // A Value and a None can be null themselves, and an Optional of an Optional has no third state.
      case .any, .unknown, .none, .optional: self = ProtoForm(wrapped)
      default: self = .single(ProtoElement(wrapped), isOptional: true)
      }
    }
  }
}

extension ProtoElement {
  /// What a value of a declared type is inside a list, a map or an optional field.
  package init(_ type: ValueType) {
    switch type {
    case .int: self = .int
    case .float: self = .float
    case .string: self = .string
    case .bool: self = .bool
    case .bytes: self = .bytes
    case .none: self = .null
    case .any, .unknown: self = .any
    case .list, .dict: self = .wrapper(ProtoWrapper(name: Self.wrapperName(type), form: ProtoForm(type)))
    case .optional(let wrapped):
      switch wrapped {
      case .any, .unknown, .none, .optional: self = ProtoElement(wrapped)
      default: self = .wrapper(ProtoWrapper(name: Self.wrapperName(type), form: ProtoForm(type)))
      }
    }
  }

  /// `ListOfOptionalInt`.
  private static func wrapperName(_ type: ValueType) -> String {
    switch type {
    case .int: "Int"
    case .float: "Float"
    case .string: "Str"
    case .bool: "Bool"
    case .bytes: "Bytes"
    case .none: "None"
    case .any, .unknown: "Any"
    case .list(let element): "ListOf" + wrapperName(element)
    case .dict(let element): "DictOf" + wrapperName(element)
    case .optional(let wrapped):
      switch wrapped {
      case .any, .unknown, .none, .optional: wrapperName(wrapped)
      default: "Optional" + wrapperName(wrapped)
      }
    }
  }

  /// The wire type of one of them.
  var wireType: ProtoWireType {
    switch self {
    case .int, .bool, .null: .varint
    case .float: .fixed64
    case .string, .bytes, .any, .wrapper: .bytes
    }
  }

  /// Whether repeated values stand in one field, one after the other.
  var isPacked: Bool { wireType != .bytes }

  /// Whether two fields of a value are the parts of one.
  var isMessage: Bool {
    switch self {
    case .any, .wrapper: true
    default: false
    }
  }
}
