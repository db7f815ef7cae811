import RPCWire

/// A value as it was written. Unquoted text keeps every reading it could have (`32` is an int, a float or a text)
/// until a declared type decides.
struct Literal: Hashable, Sendable {
  indirect enum Kind: Hashable, Sendable {
    case bare(String)
    case quoted(String)
    case bytes([UInt8])
    case list([Literal])
    case map([Entry])
    /// `$name`, `$3.field`, `_`.
    case reference(Reference)
    /// `@path`.
    case file(String)
    /// `-`.
    case standardInput
    /// What a reference stood for.
    case value(Value)
    /// What a file or standard input held.
    case content([UInt8])
    /// Cannot be known before the command runs: a hint takes it for whatever fits.
    case pending
  }

  struct Entry: Hashable, Sendable {
    var key: String
    var keySpan: Range<Int>
    var value: Literal
  }

  var kind: Kind
  var span: Range<Int>
}

/// One word of a command: a literal, `name=literal`, or just text, by who takes it.
struct Argument: Hashable, Sendable {
  /// The name of `name=…`.
  var name: String?
  var literal: Literal
  /// Name and value.
  var span: Range<Int>
  /// As it was written.
  var text: String

  /// The text of a plain or quoted word, nil for anything else.
  var word: String? {
    guard name == nil else { return text }
    return switch literal.kind {
    case .bare(let text), .quoted(let text): text
    case .standardInput: "-"
    default: nil
    }
  }

  /// The text as a path or pattern, whatever it may mean elsewhere.
  var plainText: String { word ?? text }
}
