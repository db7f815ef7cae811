/// Cuts one command into tokens. It never fails: what is wrong is noted as issues, what is unfinished as open
/// constructs, and the tokens up to there are good for completion and hints.
///
/// A command ends at a newline outside quotes and brackets. Quotes, brackets, `$`, `@`, `#` mean something only
/// where a value can start, so `it's`, `a[0]` and `C#` are plain words.
struct Lexer {
  var bytes: [UInt8]
  var offset: Int
  var tokens: [Token] = []
  var issues: [Issue] = []
  /// Brackets that are open at `offset`, outermost first, and behind them an open quote if there is one.
  var open: [OpenConstruct] = []
  /// Whether anything stands before the next token: `!` starts a shell command only at the very beginning.
  private var isAtStart = true

  init(_ bytes: [UInt8], from offset: Int = 0) {
    self.bytes = bytes
    self.offset = offset
  }

  init(_ text: String) { self.init(Array(text.utf8)) }

  /// Reads one command. On return `offset` stands behind the newline that ended it, or at the end of the text.
  mutating func run() {
    while offset < bytes.count {
      let byte = bytes[offset]
      switch byte {
      case .newline:
        offset += 1
        if open.isEmpty { return }
      case .space, .tab, .carriageReturn:
        offset += 1
      case .backslash where isLineEnd(offset + 1):
        let start = offset
        offset += 1
        if offset < bytes.count, bytes[offset] == .carriageReturn { offset += 1 }
        if offset < bytes.count { offset += 1 }
        // What it continues with is not there yet.
        if offset == bytes.count { open.append(OpenConstruct(kind: .continuation, span: start..<start + 1)) }
      default:
        if open.isEmpty { outside(byte) } else { inside(byte) }
        isAtStart = false
        // An open quote has taken the rest of the text.
        if let last = open.last, last.kind == .singleQuote || last.kind == .doubleQuote { return }
      }
    }
  }

  /// Goes on with a command that was unfinished at the end of the text. Brackets go on where they stopped, an
  /// open quote begins again.
  mutating func resume(with more: some Sequence<UInt8>) {
    bytes.append(contentsOf: more)
    if let last = open.last {
      switch last.kind {
      case .singleQuote, .doubleQuote:
        // A very long text in quotes is not read again for every line of it.
        let quote: UInt8 = last.kind == .singleQuote ? .singleQuote : .doubleQuote
        if !bytes[offset...].contains(quote) {
          offset = bytes.count
          return
        }
        offset = last.span.lowerBound
        open.removeLast()
        // What is wrong within it is found again.
        issues.removeAll { $0.span.lowerBound >= offset }
      case .continuation: open.removeLast()
      case .list, .map: break
      }
    }
    run()
  }

  // MARK: Outside brackets

  private mutating func outside(_ byte: UInt8) {
    switch byte {
    case .exclamation where isAtStart:
      restOfLine { .shell($0) }
    case .pipe:
      restOfLine { .pipe($0) }
    case .greater:
      redirection()
    case .ampersand where isLastWord(after: offset + 1):
      take(1, .background)
    case .hash:
      comment()
    case .minus where peek(1) == .minus && isSpaceOrEnd(offset + 2):
      comment()
    case .equals where isSpaceOrEnd(offset + 1):
      take(1, .assign)
    default:
      if let end = nameEnd() {
        tokens.append(Token(kind: .name(text(offset..<end)), span: offset..<end + 1))
        offset = end + 1
        // `a= 1`: the value may stand apart, as in `a = 1`.
        guard offset < bytes.count, !isSpaceOrEnd(offset) else { return }
        value(bytes[offset])
      } else {
        value(byte)
      }
    }
  }

  /// A value outside brackets, which must end at a space.
  private mutating func value(_ byte: UInt8) {
    switch byte {
    case .doubleQuote, .singleQuote:
      if quoted() { mustEnd(after: "the closing quote") }
    case .letterB where peek(1) == .doubleQuote || peek(1) == .singleQuote:
      if quotedBytes() { mustEnd(after: "the closing quote") }
    case .openBracket: push(.list, .openList)
    case .openBrace: push(.map, .openMap)
    case .at: file()
    default: word(nested: false)
    }
  }

  // MARK: Inside brackets

  private mutating func inside(_ byte: UInt8) {
    switch byte {
    case .doubleQuote, .singleQuote: _ = quoted()
    case .letterB where peek(1) == .doubleQuote || peek(1) == .singleQuote: _ = quotedBytes()
    case .openBracket: push(.list, .openList)
    case .openBrace: push(.map, .openMap)
    case .closeBracket: pop(.list, .closeList)
    case .closeBrace: pop(.map, .closeMap)
    case .comma: take(1, .comma)
    case .colon: take(1, .colon)
    case .hash: comment()
    case .at: file()
    default: word(nested: true)
    }
  }

  private mutating func push(_ kind: OpenConstruct.Kind, _ token: Token.Kind) {
    open.append(OpenConstruct(kind: kind, span: offset..<offset + 1))
    take(1, token)
  }

  private mutating func pop(_ kind: OpenConstruct.Kind, _ token: Token.Kind) {
    if let last = open.last, last.kind != kind {
      let wanted = last.kind == .list ? "]" : "}"
      let found = kind == .list ? "]" : "}"
      issues.append(Issue(offset..<offset + 1, "'\(found)' closes nothing here, '\(wanted)' is open"))
    }
    open.removeLast()
    take(1, token)
    if open.isEmpty { mustEnd(after: "the closing bracket") }
  }

  // MARK: Words

  private mutating func word(nested: Bool) {
    let start = offset
    var overloadDepth = 0
    var hasDot = false
    var pathDepth = 0
    let isReference = bytes[start] == .dollar || bytes[start] == .underscore
    scan: while offset < bytes.count {
      let byte = bytes[offset]
      switch byte {
      case .space, .tab:
        // `text.concat(int, str)` names an overload and may hold spaces.
        if overloadDepth > 0 && !nested && closesOverload(offset) { break } else { break scan }
      case .newline, .carriageReturn: break scan
      case .comma, .colon, .closeBrace: if nested { break scan }
      case .openBracket where nested && isReference: pathDepth += 1
      case .closeBracket:
        if nested && pathDepth == 0 { break scan }
        pathDepth -= 1
      case .openParenthesis where hasDot: overloadDepth += 1
      case .closeParenthesis: overloadDepth -= 1
      case .dot: hasDot = true
      case 0..<0x20, 0x7f:
        issues.append(
          Issue(
            offset..<offset + 1,
            "a control character (0x\(hex(byte))) in the text; use \\x\(hex(byte)) in quotes"))
      default: break
      }
      offset += 1
    }
    tokens.append(Token(kind: .word(text(start..<offset)), span: start..<offset))
  }

  /// Whether a `)` follows on this line, so that the space at `offset` stands inside an overload's types.
  private func closesOverload(_ offset: Int) -> Bool {
    var index = offset
    while index < bytes.count, bytes[index] != .newline {
      switch bytes[index] {
      case .closeParenthesis: return true
      case .space, .comma, .openBracket, .closeBracket, .colon, .underscore: index += 1
      case let byte where byte.isASCIILetter || byte.isASCIIDigit: index += 1
      default: return false
      }
    }
    return false
  }

  private mutating func file() {
    let start = offset
    offset += 1
    if offset < bytes.count, bytes[offset] == .doubleQuote || bytes[offset] == .singleQuote {
      let quote = bytes[offset]
      guard let path = string(quote: quote, tokenStart: start) else { return }
      tokens.append(Token(kind: .file(path), span: start..<offset))
      return
    }
    while offset < bytes.count, !isSpaceOrEnd(offset), open.isEmpty || !isNestedDelimiter(bytes[offset]) {
      offset += 1
    }
    tokens.append(Token(kind: .file(text(start + 1..<offset)), span: start..<offset))
  }

  /// `> file`, `>> file`, `> "a file"`.
  private mutating func redirection() {
    let start = offset
    offset += 1
    let appends = peek(0) == .greater
    if appends { offset += 1 }
    while peek(0) == .space || peek(0) == .tab { offset += 1 }
    let path: String
    if let byte = peek(0), byte == .doubleQuote || byte == .singleQuote {
      guard let quoted = string(quote: byte, tokenStart: start) else { return }
      path = quoted
    } else {
      let nameStart = offset
      while !isSpaceOrEnd(offset) { offset += 1 }
      path = text(nameStart..<offset)
    }
    tokens.append(Token(kind: .redirection(path, appends: appends), span: start..<offset))
  }

  // MARK: Small steps

  private mutating func take(_ count: Int, _ kind: Token.Kind) {
    tokens.append(Token(kind: kind, span: offset..<offset + count))
    offset += count
  }

  private mutating func comment() {
    let start = offset
    while offset < bytes.count, bytes[offset] != .newline { offset += 1 }
    tokens.append(Token(kind: .comment, span: start..<offset))
  }

  private mutating func restOfLine(_ kind: (String) -> Token.Kind) {
    let start = offset
    while offset < bytes.count, bytes[offset] != .newline { offset += 1 }
    let command = text(start + 1..<offset).trimmingSpaces
    tokens.append(Token(kind: kind(command), span: start..<offset))
  }

  private mutating func mustEnd(after what: String) {
    guard offset < bytes.count, !isSpaceOrEnd(offset) else { return }
    let start = offset
    while offset < bytes.count, !isSpaceOrEnd(offset) { offset += 1 }
    issues.append(
      Issue(
        start..<offset,
        "unexpected '\(text(start..<offset).prefix(20))' right after \(what); put a space between"))
  }

  /// Where the identifier at `offset` ends if `=` and not `==` follows it.
  private func nameEnd() -> Int? {
    var index = offset
    while index < bytes.count {
      switch bytes[index] {
      case .underscore: index += 1
      case let byte where byte.isASCIILetter: index += 1
      case let byte where byte.isASCIIDigit && index > offset: index += 1
      case .equals where index > offset && !(index + 1 < bytes.count && bytes[index + 1] == .equals):
        return index
      default: return nil
      }
    }
    return nil
  }

  func peek(_ distance: Int) -> UInt8? {
    offset + distance < bytes.count ? bytes[offset + distance] : nil
  }

  private func isLineEnd(_ index: Int) -> Bool {
    guard index < bytes.count else { return true }
    return bytes[index] == .newline
      || bytes[index] == .carriageReturn && index + 1 < bytes.count && bytes[index + 1] == .newline
  }

  private func isSpaceOrEnd(_ index: Int) -> Bool {
    guard index < bytes.count else { return true }
    switch bytes[index] {
    case .space, .tab, .newline, .carriageReturn: return true
    default: return false
    }
  }

  private func isNestedDelimiter(_ byte: UInt8) -> Bool {
    byte == .comma || byte == .closeBracket || byte == .closeBrace || byte == .colon
  }

  /// Whether only spaces, a comment or a pipe follow.
  private func isLastWord(after index: Int) -> Bool {
    var index = index
    guard isSpaceOrEnd(index) else { return false }
    while index < bytes.count,
      bytes[index] == .space || bytes[index] == .tab || bytes[index] == .carriageReturn
    {
      index += 1
    }
    guard index < bytes.count else { return true }
    return bytes[index] == .newline || bytes[index] == .hash
  }

  private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  private func hex(_ byte: UInt8) -> String { String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }
}
