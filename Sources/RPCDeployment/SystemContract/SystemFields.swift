package import RPCWire

/// A type that travels field by field: arguments by their order, maps by their keys. It says each field once.
package protocol SystemFields: Hashable, Sendable {
  /// What decoding begins with.
  static var empty: Self { get }
  static var fields: [SystemField<Self>] { get }
}

/// One field: its name on the wire, and where it is in the type.
package struct SystemField<Root: Sendable>: Sendable {
  package typealias Path<Part> = WritableKeyPath<Root, Part> & Sendable

  package let name: String
  package let type: ValueType
  /// nil leaves the field out.
  let write: @Sendable (Root) -> Value?
  private let assign: @Sendable (Value?, inout Root) throws(SystemDecodingError) -> Void

  private init(
    _ name: String, _ type: ValueType, write: @escaping @Sendable (Root) -> Value?,
    assign: @escaping @Sendable (Value?, inout Root) throws(SystemDecodingError) -> Void
  ) {
    self.name = name
    self.type = type
    self.write = write
    self.assign = assign
  }

  /// A field that is always there.
  package init<Part: SystemValue>(_ name: String, _ path: any Path<Part>) {
    self.init(name, Part.type, write: { $0[keyPath: path].encoded }) {
      value, root throws(SystemDecodingError) in
      guard let value else { throw .missing }
      root[keyPath: path] = try Part(decoding: value)
    }
  }

  package init(_ name: String, _ path: any Path<[UInt8]>) {
    self.init(name, .bytes, write: { .bytes($0[keyPath: path]) }) { value, root throws(SystemDecodingError) in
      guard let value else { throw .missing }
      root[keyPath: path] = try Bytes(decoding: value).storage
    }
  }

  /// A field that is left out where it has no value.
  package init<Part: SystemValue>(_ name: String, _ path: any Path<Part?>) {
    self.init(
      name, .optional(Part.type), write: { $0[keyPath: path]?.encoded }
    ) { value, root throws(SystemDecodingError) in
      guard let value, !value.isNull else { return root[keyPath: path] = nil }
      root[keyPath: path] = try Part(decoding: value)
    }
  }

  /// A list that is left out where it is empty.
  package init<Part: SystemValue>(unlessEmpty name: String, _ path: any Path<[Part]>) {
    self.init(
      name, [Part].type, write: { $0[keyPath: path].isEmpty ? .none : $0[keyPath: path].encoded }
    ) { value, root throws(SystemDecodingError) in
      root[keyPath: path] = if let value { try [Part](decoding: value) } else { [] }
    }
  }

  func read(_ value: Value?, into root: inout Root) throws(SystemDecodingError) {
    do throws(SystemDecodingError) {
      try assign(value, &root)
    } catch {
      throw error.within(".\(name)")
    }
  }
}

/// A type that travels as a map. Keys that a newer program adds are passed over.
package protocol SystemMap: SystemFields, SystemValue {}

extension SystemMap {
  package static var type: ValueType { .any }

  package var encoded: Value {
    .map(Self.fields.compactMap { field in field.write(self).map { Value.Entry(field.name, $0) } })
  }

  package init(decoding value: Value) throws(SystemDecodingError) {
    self = try Self.decodeFields(value)
  }

  static func decodeFields(_ value: Value) throws(SystemDecodingError) -> Self {
    guard case .map = value else { throw SystemDecodingError("is not a map") }
    var root = Self.empty
    for field in Self.fields { try field.read(value[field.name], into: &root) }
    return root
  }
}

/// An answer that may be nothing: an empty map.
extension Optional: SystemAnswer where Wrapped: SystemMap {
  package static var types: [ValueType] { [Wrapped.type] }
  package var values: [Value] { [self?.encoded ?? .map([])] }
  package init(values: [Value]) throws(SystemDecodingError) {
    self = values.first == .map([]) ? nil : try Wrapped(values: values)
  }
}
