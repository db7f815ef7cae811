import RPCWire

/// A way to an earlier result: `_` (the last), `$3` (the third), `$name` (a variable), each with a path such as
/// `.field`, `.0`, `[0]` or `["a key"]` into it.
struct Reference: Hashable, Sendable {
  enum Root: Hashable, Sendable {
    case last
    case result(Int)
    case variable(String)
  }

  enum Step: Hashable, Sendable {
    case field(String)
    case index(Int)
  }

  var root: Root
  var path: [Step]

  /// Reads `text`, which starts with `$` or `_`. Nil when it is not a reference but plain text, such as `_private`.
  init?(_ text: String) throws(ReferenceError) {
    var rest = Substring(text)
    if rest.first == "$" {
      rest.removeFirst()
      let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
      rest = rest.dropFirst(name.count)
      guard !name.isEmpty else {
        throw ReferenceError("'$' needs a name or a number: $name, $3; write '\(text)' in quotes for text")
      }
      if name == "_" {
        root = .last
      } else if name.allSatisfy(\.isNumber) {
        guard let number = Int(name), number > 0 else { throw ReferenceError("results count from $1") }
        root = .result(number)
      } else if String(name).isIdentifier {
        root = .variable(String(name))
      } else {
        throw ReferenceError("invalid variable name '$\(name)': a name starts with a letter")
      }
    } else {
      guard rest.first == "_" else { return nil }
      rest.removeFirst()
      guard rest.isEmpty || rest.first == "." || rest.first == "[" else { return nil }
      root = .last
    }
    path = []
    while let first = rest.first {
      rest.removeFirst()
      if first == "." {
        let name = rest.prefix { $0 != "." && $0 != "[" }
        guard !name.isEmpty else { throw ReferenceError("a field's name is missing after '.' in '\(text)'") }
        path.append(Int(name).map { .index($0) } ?? .field(String(name)))
        rest = rest.dropFirst(name.count)
      } else if first == "[", let close = rest.firstIndex(of: "]") {
        let inner = rest[..<close]
        if let index = Int(inner) {
          path.append(.index(index))
        } else {
          path.append(.field(inner.trimmingPrefix { $0 == "\"" || $0 == "'" }.trimmingSuffix))
        }
        rest = rest[rest.index(after: close)...]
      } else {
        throw ReferenceError("invalid path '\(text)': write $3.field or $3[0]")
      }
    }
  }

  /// The value it stands for, or what is missing.
  func resolve(in variables: Variables) throws(ReferenceError) -> Value {
    var value: Value
    switch root {
    case .last:
      guard let last = variables.last else { throw ReferenceError("there is no result yet for '_'") }
      value = last
    case .result(let number):
      guard let result = variables.result(number) else {
        throw ReferenceError(variables.missing(number))
      }
      value = result
    case .variable(let name):
      guard let bound = variables.named[name] else {
        throw ReferenceError(
          "unknown variable '$\(name)'"
            + Suggestion.text(for: name, among: variables.named.keys.map { $0 }))
      }
      value = bound
    }
    var walked = spelling(of: root)
    for step in path {
      value = try Self.take(step, of: value, called: walked)
      switch step {
      case .field(let name): walked += ".\(name)"
      case .index(let index): walked += "[\(index)]"
      }
    }
    return value
  }

  private static func take(_ step: Step, of value: Value, called: String) throws(ReferenceError) -> Value {
    switch (step, value) {
    case (.index(let index), .list(let values)):
      let position = index < 0 ? values.count + index : index
      guard values.indices.contains(position) else {
        throw ReferenceError("'\(called)' has \(values.count) elements, no [\(index)]")
      }
      return values[position]
    case (.field(let name), .map(let entries)):
      guard let field = value[name] else {
        throw ReferenceError(
          "'\(called)' has no field '\(name)'" + Suggestion.text(for: name, among: entries.map(\.key)))
      }
      return field
    case (.index(let index), .map):
      guard let field = value["\(index)"] else { throw ReferenceError("'\(called)' has no field '\(index)'") }
      return field
    default:
      throw ReferenceError("'\(called)' is \(ValueType(describing: value)), which has no parts")
    }
  }

  private func spelling(of root: Root) -> String {
    switch root {
    case .last: "_"
    case .result(let number): "$\(number)"
    case .variable(let name): "$\(name)"
    }
  }
}

struct ReferenceError: Error, Hashable, Sendable {
  var message: String

  init(_ message: String) { self.message = message }
}

extension Substring {
  fileprivate func trimmingPrefix(_ isQuote: (Character) -> Bool) -> Substring {
    guard let first, isQuote(first) else { return self }
    return dropFirst()
  }

  fileprivate var trimmingSuffix: String {
    guard let last, last == "\"" || last == "'" else { return String(self) }
    return String(dropLast())
  }
}
