import RPCWire

/// Builds a command line from tokens.
struct LineParser {
  private let tokens: [Token]
  private let source: [UInt8]
  private var index = 0
  private var line: CommandLine

  init(tokens: [Token], source: [UInt8], end: Int) {
    self.tokens = tokens
    self.source = source
    line = CommandLine(source: source, end: end)
  }

  mutating func parse() -> CommandLine {
    binding()
    while index < tokens.count {
      let token = tokens[index]
      switch token.kind {
      case .comment: index += 1
      case .pipe(let command):
        if command.isEmpty { issue(token.span, "a command is missing after '|'", mayGoOn: true) }
        line.pipe = CommandLine.Piece(text: command, span: token.span)
        index += 1
      case .redirection(let path, let appends):
        if path.isEmpty { issue(token.span, "a file's name is missing after '>'", mayGoOn: true) }
        if line.redirection != nil { issue(token.span, "the output goes to one file only") }
        line.redirection = CommandLine.Redirection(path: path, appends: appends, span: token.span)
        index += 1
      case .shell(let command):
        if command.isEmpty { issue(token.span, "a command is missing after '!'", mayGoOn: true) }
        line.shell = CommandLine.Piece(text: command, span: token.span)
        index += 1
      case .background:
        line.background = token.span
        index += 1
      default: argument()
      }
    }
    if line.words.isEmpty, let pipe = line.pipe { issue(pipe.span, "a command is missing before '|'") }
    if line.words.isEmpty, let redirection = line.redirection {
      issue(redirection.span, "a command is missing before '>': quote what is text")
    }
    if let redirection = line.redirection, line.pipe != nil {
      issue(redirection.span, "the output goes to a file or to a program, not to both")
    }
    if line.words.isEmpty, let background = line.background {
      issue(background, "a command is missing before '&'")
    }
    return line
  }

  /// `x = …` and `x=…` at the start.
  private mutating func binding() {
    guard let first = tokens.first else { return }
    if case .name(let name) = first.kind {
      line.binding = CommandLine.Piece(text: name, span: first.span)
      index = 1
    } else if case .word(let name) = first.kind, tokens.count > 1, tokens[1].kind == .assign {
      line.binding = CommandLine.Piece(text: name, span: first.span)
      if !name.isIdentifier {
        issue(first.span, "'\(name)' cannot be a variable: a name is letters, digits and '_'")
      } else if name == "_" {
        issue(first.span, "'_' is always the last result and cannot be bound")
      }
      index = 2
    }
  }

  /// A word, with its name if it has one.
  private mutating func argument() {
    let start = tokens[index]
    var name: String?
    if case .name(let text) = start.kind {
      name = text
      index += 1
    } else if case .word(let text) = start.kind, text.isIdentifier, !line.words.isEmpty,
      index + 1 < tokens.count, tokens[index + 1].kind == .assign
    {
      name = text
      index += 2
    } else if start.kind == .assign {
      issue(start.span, "a name is missing before '='")
      index += 1
      return
    } else if !isValueStart(start.kind) {
      // What is left of brackets that did not match.
      issue(start.span, "unexpected '\(text(start.span))'")
      index += 1
      return
    }
    guard index < tokens.count, isValueStart(tokens[index].kind) else {
      // `a=` and nothing: what follows is what completion and hints are about.
      let end = index > 0 ? tokens[index - 1].span.upperBound : start.span.upperBound
      let literal = Literal(kind: .bare(""), span: end..<end)
      line.words.append(
        Argument(name: name, literal: literal, span: start.span.lowerBound..<end, text: text(start.span)))
      return
    }
    let literal = value(depth: 0)
    let span = start.span.lowerBound..<literal.span.upperBound
    line.words.append(Argument(name: name, literal: literal, span: span, text: text(span)))
  }

  // MARK: Values

  private mutating func value(depth: Int) -> Literal {
    let token = tokens[index]
    index += 1
    switch token.kind {
    case .word(let text): return Literal(kind: word(text, token.span, nested: depth > 0), span: token.span)
    case .string(let text): return Literal(kind: .quoted(text), span: token.span)
    case .bytes(let bytes): return Literal(kind: .bytes(bytes), span: token.span)
    case .file(let path):
      if path.isEmpty { issue(token.span, "a file's name is missing after '@'", mayGoOn: true) }
      return Literal(kind: .file(path), span: token.span)
    case .openList:
      guard depth < ShellLimits.nestingDepthMax else { return tooDeep(token) }
      return list(from: token, depth: depth)
    case .openMap:
      guard depth < ShellLimits.nestingDepthMax else { return tooDeep(token) }
      return map(from: token, depth: depth)
    default:
      issue(token.span, "unexpected '\(text(token.span))'")
      return Literal(kind: .bare(text(token.span)), span: token.span)
    }
  }

  private mutating func word(_ text: String, _ span: Range<Int>, nested: Bool) -> Literal.Kind {
    if text == "-", !nested { return .standardInput }
    guard let first = text.utf8.first, first == .dollar || first == .underscore else { return .bare(text) }
    do throws(ReferenceError) {
      return try Reference(text).map { .reference($0) } ?? .bare(text)
    } catch {
      let isOpen =
        text.last == "$" || text.last == "." || text.last == "[" || text.contains("[") && text.last != "]"
      issue(span, error.message, mayGoOn: isOpen)
      return .bare(text)
    }
  }

  private mutating func list(from open: Token, depth: Int) -> Literal {
    var elements: [Literal] = []
    while let token = current {
      if token.kind == .closeList || token.kind == .closeMap {
        index += 1
        return Literal(kind: .list(elements), span: open.span.lowerBound..<token.span.upperBound)
      }
      if !elements.isEmpty, !comma(in: "[…]") { continue }
      // A comma may stand behind the last element, as in Python.
      if let token = current, token.kind == .closeList { continue }
      guard let token = current else { break }
      guard isValueStart(token.kind) else {
        issue(token.span, "a value is missing before '\(text(token.span))'")
        index += 1
        continue
      }
      elements.append(value(depth: depth + 1))
    }
    return Literal(kind: .list(elements), span: open.span.lowerBound..<endOfTokens)
  }

  private mutating func map(from open: Token, depth: Int) -> Literal {
    var entries: [Literal.Entry] = []
    var seen = Set<UTF8Key>()
    while let token = current {
      if token.kind == .closeMap || token.kind == .closeList {
        index += 1
        return Literal(kind: .map(entries), span: open.span.lowerBound..<token.span.upperBound)
      }
      if !entries.isEmpty, !comma(in: "{…}") { continue }
      if let token = current, token.kind == .closeMap { continue }
      guard let keyToken = current else { break }
      let key: String
      switch keyToken.kind {
      case .word(let text), .string(let text): key = text
      default:
        issue(keyToken.span, "a key is a text, not '\(text(keyToken.span))'")
        index += 1
        continue
      }
      index += 1
      guard let colon = current, colon.kind == .colon else {
        // At the end of an unfinished line nothing is wrong yet.
        if let found = current { issue(found.span, "':' is missing behind the key '\(key)'") }
        continue
      }
      index += 1
      guard let next = current, isValueStart(next.kind) else {
        if let found = current { issue(found.span, "a value is missing for the key '\(key)'") }
        continue
      }
      if !seen.insert(UTF8Key(key)).inserted { issue(keyToken.span, "the key '\(key)' occurs twice") }
      entries.append(Literal.Entry(key: key, keySpan: keyToken.span, value: value(depth: depth + 1)))
    }
    return Literal(kind: .map(entries), span: open.span.lowerBound..<endOfTokens)
  }

  /// Takes the comma between two elements; without one, notes that and passes over what stands there.
  private mutating func comma(in form: String) -> Bool {
    guard let token = current else { return false }
    if token.kind == .comma {
      index += 1
      return true
    }
    issue(token.span, "a comma is missing before '\(text(token.span).prefix(20))' in \(form)")
    // Read on, so that one missing comma is one issue.
    if isValueStart(token.kind) { _ = value(depth: ShellLimits.nestingDepthMax - 1) } else { index += 1 }
    while let token = current, token.kind == .colon || isValueStart(token.kind) { index += 1 }
    return false
  }

  private mutating func tooDeep(_ token: Token) -> Literal {
    issue(token.span, "brackets nest deeper than \(ShellLimits.nestingDepthMax) levels")
    index = tokens.count
    return Literal(kind: .list([]), span: token.span)
  }

  private func isValueStart(_ kind: Token.Kind) -> Bool {
    switch kind {
    case .word, .string, .bytes, .file, .openList, .openMap: true
    default: false
    }
  }

  /// The token at hand inside brackets, comments passed over.
  private var current: Token? {
    mutating get {
      while index < tokens.count, tokens[index].kind == .comment { index += 1 }
      return index < tokens.count ? tokens[index] : nil
    }
  }

  private var endOfTokens: Int { tokens.last?.span.upperBound ?? 0 }

  private func text(_ span: Range<Int>) -> String { String(decoding: source[span], as: UTF8.self) }

  private mutating func issue(_ span: Range<Int>, _ message: String, mayGoOn: Bool = false) {
    line.issues.append(Issue(span, message, mayGoOn: mayGoOn))
  }
}
