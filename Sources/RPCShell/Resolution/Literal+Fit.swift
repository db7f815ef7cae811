import RPCWire

/// A literal read as a declared type, and how far it had to be bent for that: smaller is better.
struct Fit: Hashable, Sendable {
  var value: Value
  var cost: Int
}

/// How much each bending costs. The same order as `ValueType.conversionCost`, with what only unquoted text can do
/// behind it: `32` is an int before it is a float, and a float before it is a text.
enum FitCost {
  static let intAsFloat = 1
  static let noneAsOptional = 1
  static let optional = 10
  /// `32` or `true` where a text is declared.
  static let wordAsText = 20
  /// Text where bytes are declared: its UTF-8.
  static let textAsBytes = 30
  static let any = 1000
}

extension Literal {
  /// This literal as a value of `type`, or why it cannot be one. References and files must have been resolved.
  func fit(_ type: ValueType) throws(FitError) -> Fit {
    switch (type, kind) {
    case (.any, _), (.unknown, _): return Fit(value: try natural(), cost: FitCost.any)
    case (_, .pending): return Fit(value: .null, cost: 0)
    case (.optional, .bare(let text)) where BareText.isNone(text):
      return Fit(value: .null, cost: FitCost.noneAsOptional)
    case (.optional, .value(.null)): return Fit(value: .null, cost: FitCost.noneAsOptional)
    case (.optional(let wrapped), _):
      var fit = try fit(wrapped)
      fit.cost += FitCost.optional
      return fit
    case (_, .value(let value)):
      guard type.accepts(value) else { throw mismatch(type) }
      return Fit(value: value, cost: type.conversionCost(from: ValueType(describing: value)) ?? 0)
    case (_, .content(let bytes)): return try content(bytes, as: type)
    case (_, .bare(let text)): return try bare(text, as: type)
    case (.string, .quoted(let text)): return Fit(value: .string(text), cost: 0)
    case (.bytes, .quoted(let text)): return Fit(value: .bytes(Array(text.utf8)), cost: FitCost.textAsBytes)
    case (.bytes, .bytes(let bytes)): return Fit(value: .bytes(bytes), cost: 0)
    case (.list(let element), .list(let literals)):
      var values: [Value] = []
      var cost = 0
      values.reserveCapacity(literals.count)
      for literal in literals {
        let fit = try literal.fit(element)
        values.append(fit.value)
        // Not the sum: a long list of ints is as good a List[int] as a short one.
        cost = max(cost, fit.cost)
      }
      return Fit(value: .list(values), cost: cost)
    case (.dict(let element), .map(let literals)):
      var entries: [Value.Entry] = []
      var cost = 0
      for literal in literals {
        let fit = try literal.value.fit(element)
        entries.append(Value.Entry(literal.key, fit.value))
        cost = max(cost, fit.cost)
      }
      return Fit(value: .map(entries), cost: cost)
    case (.bytes, .map(let entries)):
      guard let bytes = Self.taggedBytes(entries) else { throw mismatch(type) }
      return Fit(value: .bytes(bytes), cost: 0)
    case (.float, .quoted("NaN")): return Fit(value: .float(.nan), cost: 0)
    case (.float, .quoted("Infinity")): return Fit(value: .float(.infinity), cost: 0)
    case (.float, .quoted("-Infinity")): return Fit(value: .float(-.infinity), cost: 0)
    default: throw mismatch(type)
    }
  }

  /// What it is when nothing declares a type.
  func natural() throws(FitError) -> Value {
    switch kind {
    case .bare(let text):
      if let value = BareText.bool(text) { return .bool(value) }
      if BareText.isNone(text) { return .null }
      switch BareText.number(text) {
      case .int(let value): return .int(value)
      case .float(let value): return .float(value)
      case .tooLarge: throw FitError(span, "\(text) does not fit an int (64 bits); quote it for text")
      case nil: return .string(text)
      }
    case .quoted(let text): return .string(text)
    case .bytes(let bytes): return .bytes(bytes)
    case .value(let value): return value
    case .content(let bytes):
      return String(validating: bytes, as: UTF8.self).map { .string($0) } ?? .bytes(bytes)
    case .list(let literals):
      var values: [Value] = []
      for literal in literals { values.append(try literal.natural()) }
      return .list(values)
    case .map(let literals):
      if let bytes = Self.taggedBytes(literals) { return .bytes(bytes) }
      var entries: [Value.Entry] = []
      for literal in literals { entries.append(Value.Entry(literal.key, try literal.value.natural())) }
      return .map(entries)
    case .pending, .reference, .file, .standardInput: return .null
    }
  }

  private func bare(_ text: String, as type: ValueType) throws(FitError) -> Fit {
    switch type {
    case .int:
      switch BareText.number(text) {
      case .int(let value): return Fit(value: .int(value), cost: 0)
      case .tooLarge: throw FitError(span, "\(text) does not fit an int (64 bits)")
      default: throw mismatch(type)
      }
    case .float:
      switch BareText.number(text) {
      case .float(let value): return Fit(value: .float(value), cost: 0)
      case .int(let value): return Fit(value: .float(Double(value)), cost: FitCost.intAsFloat)
      case .tooLarge: return Fit(value: .float(Double(text) ?? .infinity), cost: FitCost.intAsFloat + 1)
      case nil: throw mismatch(type)
      }
    case .bool:
      guard let value = BareText.bool(text) else { throw mismatch(type) }
      return Fit(value: .bool(value), cost: 0)
    case .none:
      guard BareText.isNone(text) else { throw mismatch(type) }
      return Fit(value: .null, cost: 0)
    case .string:
      let isOther = BareText.number(text) != nil || BareText.bool(text) != nil || BareText.isNone(text)
      return Fit(value: .string(text), cost: isOther ? FitCost.wordAsText : 0)
    case .bytes: return Fit(value: .bytes(Array(text.utf8)), cost: FitCost.textAsBytes)
    default: throw mismatch(type)
    }
  }

  /// A file's content: text and bytes as they are, anything else as a literal written there.
  private func content(_ bytes: [UInt8], as type: ValueType) throws(FitError) -> Fit {
    switch type {
    case .bytes: return Fit(value: .bytes(bytes), cost: 1)
    case .string:
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw FitError(span, "the file is not UTF-8 text; \(bytes.count) bytes fit 'bytes'")
      }
      return Fit(value: .string(text), cost: 0)
    default:
      let line = CommandLine(parsing: Array("_ ".utf8) + bytes.map { $0 == .newline ? .space : $0 })
      guard line.words.count == 2, line.issues.isEmpty, line.open.isEmpty else { throw mismatch(type) }
      do {
        return try line.words[1].literal.fit(type)
      } catch {
        throw FitError(span, error.message)
      }
    }
  }

  private func mismatch(_ type: ValueType) -> FitError {
    switch kind {
    case .bare("") where span.isEmpty: FitError(span, "a value is missing")
    case .bare(let text): FitError(span, "\(Self.shortened(text)) is not \(Self.article(type))")
    case .quoted(let text):
      FitError(span, "the text \"\(Self.shortened(text))\" is not \(Self.article(type))")
    case .bytes: FitError(span, "bytes are not \(Self.article(type))")
    case .list: FitError(span, "a list is not \(Self.article(type))")
    case .map: FitError(span, "a dictionary is not \(Self.article(type))")
    case .value(let value): FitError(span, "this is \(ValueType(describing: value)), not \(type)")
    case .content: FitError(span, "the file's content is not \(Self.article(type))")
    case .reference, .file, .standardInput, .pending: FitError(span, "this is not \(Self.article(type))")
    }
  }

  /// The bytes of `{"$bytes": "<base64>"}`, as they are written in JSON.
  private static func taggedBytes(_ entries: [Literal.Entry]) -> [UInt8]? {
    guard entries.count == 1, entries[0].key == "$bytes", case .quoted(let text) = entries[0].value.kind
    else {
      return nil
    }
    return Base64.decode(text)
  }

  private static func shortened(_ text: String) -> String {
    text.count > 24 ? text.prefix(23) + "…" : text
  }

  private static func article(_ type: ValueType) -> String {
    switch type {
    case .int, .any: "an \(type)"
    case .none, .bytes: "\(type)"
    default: "a \(type)"
    }
  }
}

/// Why a literal cannot be read as a type.
struct FitError: Error, Hashable, Sendable {
  var span: Range<Int>
  var message: String

  init(_ span: Range<Int>, _ message: String) {
    self.span = span
    self.message = message
  }
}
