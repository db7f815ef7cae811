/// A place in a file: line and column from 1, columns in characters.
package struct Place: Hashable, Comparable, Sendable {
  package var line: Int
  package var column: Int

  package static let start = Place(line: 1, column: 1)

  package static func < (left: Place, right: Place) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }
}

/// A value of a YAML file and where it stands. Keys keep their order and their duplicates, so that a reader
/// of a map can say where the first and the second one are.
package struct YamlNode {
  package enum Content {
    case scalar(String)
    case list([YamlNode])
    case map([(key: YamlNode, value: YamlNode)])
  }

  package var content: Content
  /// Where it begins; for an alias, where the alias stands.
  package var place: Place
  /// Written without quotes, so that `null`, `true` and `8181` are not text.
  package internal(set) var isPlain = false
  /// Columns from `place` to the first character of a scalar whose characters all stand in the file as they
  /// are, on one line; nil for one with escapes or line breaks.
  var textOffset: Int?
  /// How many nodes it is made of, aliases written out.
  var size = 1

  /// Nothing at all: `key:` with no value, `~` or `null`.
  package var isNull: Bool {
    guard isPlain, case .scalar(let text) = content else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(text)
  }

  package var text: String? {
    if case .scalar(let text) = content { text } else { nil }
  }

  /// What it is, as an error message says it.
  package var kind: String {
    switch content {
    case .scalar(let text):
      if isNull { return "nothing" }
      return "'\(text.prefix(40))'"
    case .list: return "a list"
    case .map: return "a map"
    }
  }

  /// Where the character `offset` bytes into the text of a scalar stands, as exactly as can be told.
  func place(atByte offset: Int) -> Place {
    guard let textOffset, let text else { return place }
    let characters = String(decoding: text.utf8.prefix(offset), as: UTF8.self).unicodeScalars.count
    return Place(line: place.line, column: place.column + textOffset + characters)
  }
}
