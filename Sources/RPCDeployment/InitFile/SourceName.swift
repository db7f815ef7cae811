/// The file name of a source: what errors, tracebacks and logs show instead of a path.
package enum SourceName {
  /// Bytes: what a file system allows.
  package static let bytesMax = 255

  /// What is wrong with a name, or nil. It becomes part of log lines and of places such as `add.py:3`, so it may
  /// break no line, and leads out of no directory.
  package static func problem(with name: String) -> String? {
    if name.isEmpty { return "an empty file name" }
    if name.utf8.count > bytesMax {
      return "a file name of \(name.utf8.count) bytes, the limit is \(bytesMax)"
    }
    if name.utf8.contains(UInt8(ascii: "/")) { return "a file name with '/'" }
    if hasDoubleDot(name) { return "a file name with '..'" }
    if name.unicodeScalars.contains(where: isControl) {
      return "a file name with a line break or control character"
    }
    return nil
  }

  /// The name for a file whose name may hold whatever a path may hold: what a source name may not hold becomes
  /// `_`.
  package static func shown(for fileName: String) -> String {
    var name = String.UnicodeScalarView()
    for scalar in fileName.unicodeScalars {
      let isSecondDot = scalar == "." && name.last == "."
      name.append(isControl(scalar) || isSecondDot ? "_" : scalar)
    }
    return String(name)
  }

  private static func hasDoubleDot(_ name: String) -> Bool {
    zip(name.utf8, name.utf8.dropFirst()).contains { $0 == UInt8(ascii: ".") && $1 == UInt8(ascii: ".") }
  }

  /// Control characters, and what Unicode counts as a line break.
  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }
}
