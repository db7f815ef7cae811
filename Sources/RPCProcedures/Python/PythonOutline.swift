/// Finds what a Python module defines: functions, classes, assignments and imports outside functions and classes,
/// and what functions declare `global`. A scan of tokens, not a parser.
package enum PythonOutline {
  package static func read(_ bytes: [UInt8]) -> SourceOutline {
    var outline = SourceOutline(words: SourceOutline.words(in: bytes))
    outline.mayDefineOthers = !outline.words.isDisjoint(with: dynamicWords)
    // The indentation of the functions and classes that the line stands in.
    var enclosing: [Int] = []
    for line in PythonLine.lines(of: bytes) {
      while let last = enclosing.last, last >= line.indent { enclosing.removeLast() }
      // `ｆ` is `f` to Python: other letters than ASCII's may spell any name.
      if line.hasOtherLetters { outline.mayDefineOthers = true }
      let statements = line.tokens.split(separator: .symbol(UInt8(ascii: ";")))
      if enclosing.isEmpty {
        if statements.contains(where: { define($0, &outline) }) { enclosing.append(line.indent) }
      } else {
        for statement in statements { globals(statement, &outline) }
      }
    }
    return outline
  }

  /// Each gives a module names that it need not spell.
  private static let dynamicWords: Set<String> = [
    "__builtins__", "__class__", "__dict__", "__getattr__", "__getattribute__", "__globals__", "__import__",
    "__setattr__", "_getframe", "attrgetter", "builtins", "compile", "coding", "ctypes", "currentframe",
    "eval",
    "exec", "f_globals", "f_locals", "gc", "getattr", "globals", "importlib", "inspect", "locals", "marshal",
    "methodcaller", "modules", "pickle", "runpy", "setattr", "vars",
  ]

  /// Adds what a statement defines. Returns whether it opens a function or class.
  private static func define(_ statement: ArraySlice<PythonToken>, _ outline: inout SourceOutline) -> Bool {
    let tokens = statement.first == .word("async") ? statement.dropFirst() : statement
    guard let first = tokens.first else { return false }
    // `(f := …)` defines f wherever it stands.
    for (index, token) in zip(tokens.indices, tokens) {
      if token == .walrus, case .word(let name)? = index > tokens.startIndex ? tokens[index - 1] : nil {
        outline.names.insert(name)
      }
    }
    switch first {
    case .word("def"), .word("class"):
      if case .word(let name)? = tokens.dropFirst().first { outline.names.insert(name) }
      return true
    case .word("import"): imports(tokens.dropFirst(), isFrom: false, &outline)
    case .word("from"):
      if let start = tokens.firstIndex(of: .word("import")) {
        imports(tokens[(start + 1)...], isFrom: true, &outline)
      }
    case .word("if"), .word("elif"), .word("else"), .word("try"), .word("except"), .word("finally"),
      .word("with"), .word("for"), .word("while"), .word("match"), .word("case"):
      return compound(tokens, &outline)
    default: assignments(tokens, &outline)
    }
    return false
  }

  /// `for f in …:`, `with … as f:`, `case f:`, and what follows the colon on the same line.
  private static func compound(_ tokens: ArraySlice<PythonToken>, _ outline: inout SourceOutline) -> Bool {
    var depth = 0
    var colon = tokens.endIndex
    for (index, token) in zip(tokens.indices, tokens) where colon == tokens.endIndex {
      depth += token.nesting
      if depth == 0, token == .symbol(UInt8(ascii: ":")) { colon = index }
    }
    let head = tokens[..<colon]
    switch head.first {
    case .word("for"):
      targets(head.dropFirst().prefix { $0 != .word("in") }, &outline)
    case .word("case"):
      targets(head.dropFirst(), &outline)
    default:
      for (index, token) in zip(head.indices, head) where token == .word("as") {
        targets(head[(index + 1)...].prefix { $0 != .word("as") }, &outline)
      }
    }
    let rest = tokens[colon...].dropFirst()
    return rest.isEmpty ? false : define(rest, &outline)
  }

  private static func imports(
    _ tokens: ArraySlice<PythonToken>, isFrom: Bool, _ outline: inout SourceOutline
  ) {
    if isFrom, tokens.contains(.symbol(UInt8(ascii: "*"))) { outline.mayDefineOthers = true }
    for item in tokens.split(separator: .symbol(UInt8(ascii: ","))) {
      let names = item.compactMap(\.word)
      guard let first = names.first else { continue }
      if let alias = names.firstIndex(of: "as"), alias + 1 < names.count {
        outline.names.insert(names[alias + 1])
      } else {
        // `import a.b` defines a.
        outline.names.insert(first)
      }
    }
  }

  /// The targets of `a = b, c = value`: everything before a plain `=` outside brackets.
  private static func assignments(_ tokens: ArraySlice<PythonToken>, _ outline: inout SourceOutline) {
    var depth = 0
    var start = tokens.startIndex
    for (index, token) in zip(tokens.indices, tokens) {
      depth += token.nesting
      guard depth == 0 else { continue }
      if token == .comparison { return }
      guard token == .symbol(UInt8(ascii: "=")) else { continue }
      // Without the annotation of `f: int = …`.
      targets(tokens[start..<index].prefix { $0 != .symbol(UInt8(ascii: ":")) }, &outline)
      start = index + 1
    }
  }

  /// The names in a target such as `a, (b, *c)`; not those of `a.b`, `a[b]` or `a(b)`.
  private static func targets(_ tokens: ArraySlice<PythonToken>, _ outline: inout SourceOutline) {
    var before: PythonToken?
    // How deep in the brackets of a subscript or call, 0 outside.
    var inner = 0
    for (index, token) in zip(tokens.indices, tokens) {
      defer { before = token }
      if inner > 0 || token.opensBracket && before?.endsValue == true {
        inner += token.nesting
        continue
      }
      guard let name = token.word, name.first?.isNumber != true, before != .symbol(UInt8(ascii: ".")) else {
        continue
      }
      let after = index + 1 < tokens.endIndex ? tokens[index + 1] : nil
      if after?.opensBracket != true, after != .symbol(UInt8(ascii: ".")) { outline.names.insert(name) }
    }
  }

  /// `global f` in a function: a call of it may define f.
  private static func globals(_ statement: ArraySlice<PythonToken>, _ outline: inout SourceOutline) {
    guard let start = statement.firstIndex(of: .word("global")) else { return }
    outline.names.formUnion(statement[(start + 1)...].compactMap(\.word))
  }
}
