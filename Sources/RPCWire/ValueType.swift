/// A declared type: `int`, `float`, `str`, `bool`, `bytes`, `None`, `List[T]`, `Dict[str, T]`, `Optional[T]`,
/// `Any`, nested at will.
public indirect enum ValueType: Hashable, Sendable {
  /// 64-bit signed.
  case int
  /// IEEE 754 double.
  case float
  /// UTF-8.
  case string
  case bool
  case bytes
  case none
  case any
  case list(ValueType)
  case dict(ValueType)
  case optional(ValueType)
  /// The element type of an empty list or dictionary: fits every type. Never declared; a caller sends it
  /// (as `?`) to say that it cannot know.
  case unknown
}

extension ValueType: CustomStringConvertible {
  /// The canonical spelling, which `init(parsing:)` reads back.
  public var description: String {
    switch self {
    case .int: "int"
    case .float: "float"
    case .string: "str"
    case .bool: "bool"
    case .bytes: "bytes"
    case .none: "None"
    case .any: "Any"
    case .list(let element): "List[\(element)]"
    case .dict(let element): "Dict[str, \(element)]"
    case .optional(let wrapped): "Optional[\(wrapped)]"
    case .unknown: "?"
    }
  }
}

extension ValueType {
  /// Whether a value of it may be many.
  package var hasParts: Bool {
    switch self {
    case .list, .dict, .any, .unknown: true
    case .optional(let element): element.hasParts
    case .int, .float, .string, .bool, .bytes, .none: false
    }
  }

  /// Whether a part of it is `unknown`.
  package var containsUnknown: Bool {
    switch self {
    case .unknown: true
    case .list(let element), .dict(let element), .optional(let element): element.containsUnknown
    default: false
    }
  }

  /// How well a caller's type fits a declared parameter; smaller is better, nil is not at all.
  ///
  /// 0 is the same type. Widening an int to a float, wrapping into an Optional and declaring `Any` cost
  /// more, in that order, so that the most specific overload wins.
  package func conversionCost(from actual: ValueType) -> Int? {
    if self == actual { return 0 }
    switch (self, actual) {
    case (.any, _): return 1000
    case (_, .unknown): return 0
    case (.float, .int): return 1
    case (.optional, .none): return 1
    case (.optional(let wrapped), .optional(let inner)): return wrapped.conversionCost(from: inner)
    case (.optional(let wrapped), _): return wrapped.conversionCost(from: actual).map { $0 + 10 }
    case (.list(let element), .list(let inner)), (.dict(let element), .dict(let inner)):
      return element.conversionCost(from: inner)
    default: return nil
    }
  }

  /// The narrowest type that describes a value.
  public init(describing value: Value) {
    switch value {
    case .null: self = .none
    case .bool: self = .bool
    case .int: self = .int
    case .float: self = .float
    case .string: self = .string
    case .bytes: self = .bytes
    case .list(let values): self = .list(Self.common(of: values.lazy.map { ValueType(describing: $0) }))
    case .map(let entries):
      self = .dict(Self.common(of: entries.lazy.map { ValueType(describing: $0.value) }))
    }
  }

  /// The narrowest type that takes all of `types`; `unknown` for none at all.
  private static func common(of types: some Sequence<ValueType>) -> ValueType {
    var result: ValueType = .unknown
    for type in types {
      result = result.joined(with: type)
      if result == .any { break }
    }
    return result
  }

  internal func joined(with other: ValueType) -> ValueType {
    if self == other { return self }
    switch (self, other) {
    case (.unknown, let known), (let known, .unknown): return known
    case (.int, .float), (.float, .int): return .float
    case (.none, let some), (let some, .none):
      if case .optional = some { return some }
      return .optional(some)
    case (.optional(let left), .optional(let right)): return .optional(left.joined(with: right))
    case (.optional(let left), let right), (let right, .optional(let left)):
      let joined = left.joined(with: right)
      return joined == .any ? .any : .optional(joined)
    case (.list(let left), .list(let right)): return .list(left.joined(with: right))
    case (.dict(let left), .dict(let right)): return .dict(left.joined(with: right))
    default: return .any
    }
  }

  /// Whether a value may be passed where this type is declared: an int fits a float, never the reverse.
  public func accepts(_ value: Value) -> Bool {
    switch (self, value) {
    case (.any, _), (.none, .null), (.optional, .null), (.bool, .bool), (.int, .int), (.float, .float),
      (.float, .int), (.string, .string), (.bytes, .bytes):
      true
    case (.optional(let wrapped), _): wrapped.accepts(value)
    case (.list(let element), .list(let values)): values.allSatisfy { element.accepts($0) }
    case (.dict(let element), .map(let entries)): entries.allSatisfy { element.accepts($0.value) }
    default: false
    }
  }
}
