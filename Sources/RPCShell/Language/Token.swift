/// One piece of a command line, with where it stands in the text (UTF-8 bytes). The parser, the hints and the
/// completion all work on the same tokens.
struct Token: Hashable, Sendable {
  enum Kind: Hashable, Sendable {
    /// Unquoted text: a name, a number, a path. What it means is decided by who takes it.
    case word(String)
    /// `a=` directly before a value.
    case name(String)
    /// A lone `=`.
    case assign
    /// Text in quotes, escapes resolved.
    case string(String)
    /// `b"…"`.
    case bytes([UInt8])
    /// `@path`.
    case file(String)
    case openList
    case closeList
    case openMap
    case closeMap
    case comma
    case colon
    /// `| command`: the rest of the line, for `/bin/sh`.
    case pipe(String)
    /// `> file`, `>> file`.
    case redirection(String, appends: Bool)
    /// `!command` at the start of the line.
    case shell(String)
    /// `&` at the end.
    case background
    /// `# …` or `-- …`.
    case comment
  }

  var kind: Kind
  var span: Range<Int>
}

/// Something wrong with a line: where and what, in words for the person who typed it.
struct Issue: Hashable, Sendable {
  var span: Range<Int>
  var message: String
  /// Whether more letters behind it could still make it right: nothing to be told while someone types.
  var mayGoOn = false

  init(_ span: Range<Int>, _ message: String, mayGoOn: Bool = false) {
    self.span = span
    self.message = message
    self.mayGoOn = mayGoOn
  }
}

/// A quote or bracket that has not been closed yet.
struct OpenConstruct: Hashable, Sendable {
  enum Kind: Hashable, Sendable {
    case singleQuote
    case doubleQuote
    case list
    case map
    /// A backslash at the end of the line.
    case continuation

    /// What is wrong where the text ends with it.
    var complaint: String {
      switch self {
      case .singleQuote: "the quote (') is never closed"
      case .doubleQuote: "the quote (\") is never closed"
      case .list: "the bracket ([) is never closed"
      case .map: "the brace ({) is never closed"
      case .continuation: "nothing follows the backslash (\\) at the end of the line"
      }
    }

    /// How the continuation prompt shows it.
    var mark: String {
      switch self {
      case .singleQuote: "'"
      case .doubleQuote: "\""
      case .list: "["
      case .map: "{"
      case .continuation: "\\"
      }
    }
  }

  var kind: Kind
  var span: Range<Int>
}
