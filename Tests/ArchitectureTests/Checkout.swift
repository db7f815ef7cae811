import Foundation

/// The files of the checkout, as these tests look at them.
enum Checkout {
  static let root: String = {
    let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    return parts.dropLast(3).joined(separator: "/")
  }()

  static func text(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(root)/\(path)")), as: UTF8.self)
  }

  /// The files below some directories whose names end so, in order.
  static func files(in directories: String..., endings: Set<String>) -> [String] {
    var found: [String] = []
    for directory in directories {
      guard let walk = FileManager.default.enumerator(atPath: "\(root)/\(directory)") else { continue }
      for case let path as String in walk {
        if path.split(separator: "/").contains(where: { $0.hasPrefix(".") }) { continue }
        if endings.contains(where: { path.hasSuffix($0) }) { found.append("\(directory)/\(path)") }
      }
    }
    return found.sorted()
  }

  /// The rows of the table below a line that reads `marker`, each as its cells.
  static func table(below marker: String, in path: String) throws -> [[String]] {
    let lines = try text(path).split(separator: "\n", omittingEmptySubsequences: false)
    guard let start = lines.firstIndex(where: { $0 == marker }) else { return [] }
    let rows = lines[start...].drop { !$0.hasPrefix("|") }.prefix { $0.hasPrefix("|") }
    return rows.dropFirst(2).map { row in
      row.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast()
        .map { $0.trimmingCharacters(in: .whitespaces) }
    }
  }

  /// What a cell lists in backquotes.
  static func names(_ cell: String) -> [String] {
    cell.matches(of: #/`([^`]+)`/#).map { String($0.output.1) }
  }
}
