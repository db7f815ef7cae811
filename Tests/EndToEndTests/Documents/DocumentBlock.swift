import Foundation

/// A fenced block of a document: what it is, and what a reader would do with it.
struct DocumentBlock {
  let file: String
  /// The line of its opening fence, counted from 1.
  let line: Int
  /// The first word behind the fence, and the rest: `yaml`, `init.yaml`.
  let language: String
  let name: String
  let lines: [String]

  var place: String { "\(file):\(line)" }
  var text: String { lines.map { $0 + "\n" }.joined() }

  /// README and everything in Docs.
  static func files() throws -> [String] {
    try ["README.md"]
      + FileManager.default.contentsOfDirectory(atPath: "\(Programs.repository)/Docs")
      .filter { $0.hasSuffix(".md") }.sorted().map { "Docs/\($0)" }
  }

  static func all(in file: String) throws -> [DocumentBlock] {
    let text = String(
      decoding: try Data(contentsOf: URL(fileURLWithPath: "\(Programs.repository)/\(file)")), as: UTF8.self)
    var blocks: [DocumentBlock] = []
    var open: (line: Int, words: [String], lines: [String])?
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if line.hasPrefix("```") {
        if let block = open {
          blocks.append(
            DocumentBlock(
              file: file, line: block.line, language: block.words.first ?? "",
              name: block.words.dropFirst().joined(separator: " "), lines: block.lines))
          open = nil
        } else {
          open = (index + 1, line.dropFirst(3).split(separator: " ").map(String.init), [])
        }
      } else {
        open?.lines.append(String(line))
      }
    }
    guard open == nil else { throw Failure("\(file): a fence is never closed") }
    return blocks
  }

  // MARK: Steps

  enum Step {
    /// A command line, and the output that is shown below it.
    case command(String, shown: [String]?)
    /// A line at the shell's prompt, and its output.
    case shellLine(String, shown: [String])
    /// A file that the reader writes.
    case file(String, String)
    /// A Python program, and the output that its last comment shows.
    case python(String, shown: String?)
  }

  /// Languages of blocks that hold nothing to do; `vector` and `swift` have tests of their own.
  static let inert: Set = ["text", "json", "vector", "swift"]

  /// What a reader would do, in order.
  func steps() throws -> [Step] {
    switch language {
    case "console": return try consoleSteps()
    case "sh": return shellSteps()
    case "python" where name.isEmpty:
      let shown = lines.last { $0.hasPrefix("# ") }.map { String($0.dropFirst(2)) }
      return [.python(text, shown: shown)]
    case "text" where !name.isEmpty: return [.file(name, text)]
    case "python", "lua", "yaml":
      guard !name.isEmpty else { throw Failure("\(place): say which file this is: ```\(language) NAME") }
      return [.file(name, text)]
    case let other where Self.inert.contains(other):
      if let line = lines.first(where: { $0.hasPrefix("$ ") || $0.hasPrefix("rpc> ") }) {
        throw Failure("\(place): a block of '\(other)' has a command, which nobody runs: \(line)")
      }
      return []
    default:
      throw Failure("\(place): the language '\(language)' is not known here; text is for what is not run")
    }
  }

  private func consoleSteps() throws -> [Step] {
    var steps: [Step] = []
    for line in lines {
      if line.hasPrefix("$ ") {
        steps.append(.command(String(line.dropFirst(2)), shown: []))
      } else if line.hasPrefix("rpc> ") {
        steps.append(.shellLine(String(line.dropFirst(5)), shown: []))
      } else {
        switch steps.popLast() {
        case .command(let command, let shown) where command.hasSuffix("\\") && shown == []:
          steps.append(.command("\(command)\n\(line)", shown: []))
        case .command(let command, let shown):
          steps.append(.command(command, shown: (shown ?? []) + [line]))
        case .shellLine(let command, let shown):
          steps.append(.shellLine(command, shown: shown + [line]))
        default: throw Failure("\(place): the first line of a console is a command: \(line)")
        }
      }
    }
    return steps
  }

  /// Every line is a command; what it prints is not shown.
  private func shellSteps() -> [Step] {
    var commands: [String] = []
    for line in lines where !line.isEmpty && !line.hasPrefix("#") {
      if let last = commands.last, last.hasSuffix("\\") {
        commands[commands.count - 1] = "\(last)\n\(line)"
      } else {
        commands.append(line)
      }
    }
    return commands.map { .command($0, shown: nil) }
  }
}

extension DocumentBlock.Step {
  /// How the list of what is not run names it: the command, the line, the file or the program.
  var text: String {
    switch self {
    case .command(let command, _): Self.withoutComment(command)
    case .shellLine(let line, _): "rpc> \(line)"
    case .file(let name, _): name
    case .python(let program, _): program
    }
  }

  static func withoutComment(_ command: String) -> String {
    let end = command.range(of: " #")?.lowerBound ?? command.endIndex
    return command[..<end].trimmingCharacters(in: .whitespaces)
  }
}
