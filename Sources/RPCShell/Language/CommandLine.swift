/// One command as it was typed, cut into the parts that every command has in common. What its words mean is the
/// named command's business.
struct CommandLine: Hashable, Sendable {
  struct Piece: Hashable, Sendable {
    var text: String
    var span: Range<Int>
  }

  struct Redirection: Hashable, Sendable {
    var path: String
    /// `>>`: what is there stays.
    var appends: Bool
    var span: Range<Int>
  }

  /// The text that the spans point into.
  var source: [UInt8]
  /// `x` of `x = …`.
  var binding: Piece?
  /// The command of `!command`.
  var shell: Piece?
  /// The command's name and what follows it.
  var words: [Argument] = []
  /// `&`.
  var background: Range<Int>?
  /// The command of `| command`.
  var pipe: Piece?
  /// `> file` and `>> file`.
  var redirection: Redirection?
  var issues: [Issue] = []
  var open: [OpenConstruct] = []
  /// Where the text of this command ends in `source`.
  var end: Int

  /// Nothing but spaces and comments. A quote that is never closed is something, though there is no word in it yet.
  var isEmpty: Bool {
    words.isEmpty && shell == nil && binding == nil && pipe == nil && redirection == nil && issues.isEmpty
      && open.isEmpty
  }

  /// More text is needed before this can run.
  var isUnfinished: Bool { !open.isEmpty }

  func text(_ span: Range<Int>) -> String { String(decoding: source[span], as: UTF8.self) }

  /// The same line without its first `count` words: what a command such as `time` runs.
  func dropping(_ count: Int) -> CommandLine {
    var line = self
    line.words.removeFirst(min(count, words.count))
    line.binding = nil
    return line
  }

  /// What the words were written as, from the first to the last.
  var wordsText: String {
    guard let first = words.first, let last = words.last else { return "" }
    return text(first.span.lowerBound..<last.span.upperBound)
  }
}

extension CommandLine {
  /// Reads one command from the start of `text`.
  init(parsing text: String) { self.init(parsing: Array(text.utf8)) }

  init(parsing bytes: [UInt8], from offset: Int = 0) {
    var lexer = Lexer(bytes, from: offset)
    lexer.run()
    self.init(lexer, source: bytes)
  }

  /// From a lexer that has run.
  init(_ lexer: Lexer, source: [UInt8]) {
    var parser = LineParser(tokens: lexer.tokens, source: source, end: lexer.offset)
    self = parser.parse()
    // The lexer saw the line first: what it says explains what the parser finds.
    issues.insert(contentsOf: lexer.issues, at: 0)
    open = lexer.open
    end = lexer.offset
  }

  /// Every command of a text of several lines.
  static func all(in text: String) -> [CommandLine] {
    let bytes = Array(text.utf8)
    var lines: [CommandLine] = []
    var offset = 0
    while offset < bytes.count {
      let line = CommandLine(parsing: bytes, from: offset)
      offset = line.end
      if !line.isEmpty { lines.append(line) }
    }
    return lines
  }
}
