/// What a piece of text is, which decides its colour.
enum TextRole: Hashable, Sendable {
  case plain
  case heading
  case name
  case type
  case good
  case warning
  case bad
  case dim
}

/// Colours, or none.
struct Style: Hashable, Sendable {
  var isColored: Bool

  static let none = Style(isColored: false)

  func paint(_ text: String, _ role: TextRole) -> String {
    guard isColored, !text.isEmpty, let code = Self.code(role) else { return text }
    return "\u{1b}[\(code)m\(text)\u{1b}[0m"
  }

  /// One SGR sequence per role.
  static func code(_ role: TextRole) -> String? {
    switch role {
    case .plain: nil
    case .heading: "1"
    case .name: "36"
    case .type: "33"
    case .good: "32"
    case .warning: "33"
    case .bad: "31"
    case .dim: "2"
    }
  }
}
