import RPCNetwork
import RPCProcedures
import RPCWire

extension InitFileReader {
  /// The directory that relative paths start from: the file's own.
  var directory: String {
    guard let slash = file.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
    return String(file[...slash])
  }

  /// Settles a procedure's language, function, source and digest. Returns the path as the file gives it.
  mutating func readSource(
    _ node: YamlNode?, _ fields: [String: YamlNode], _ procedure: inout Procedure, _ owner: String
  ) -> String? {
    var function = procedure.signature.name
    if let node = fields["function"] {
      function = text(node, "'function'") ?? function
      if !Names.isIdentifier(function) {
        report(
          node.place,
          "invalid function name '\(function.prefix(64))': it starts with a letter or '_' and holds letters, "
            + "digits and '_'")
        return nil
      }
    } else if !Names.isIdentifier(function), let node {
      report(
        node.place,
        "'\(function)' cannot be the name of a function: add 'function' with the one in the source")
      return nil
    }
    procedure.function = function

    guard let node, let path = text(node, "'src'") else { return nil }
    let slash = UInt8(ascii: "/")
    guard let last = path.utf8.split(separator: slash).last, path.utf8.last != slash,
      case let name = String(Substring(last)), name.utf8.count <= SourceName.bytesMax
    else {
      report(node.place, "'src' of \(owner) must be the path of a file, found '\(path.prefix(200))'")
      return nil
    }
    procedure.sourceName = SourceName.shown(for: name)
    guard let language = language(fields["language"], name, at: node.place) else { return path }
    procedure.language = language.language
    guard checksSources else { return path }

    let full = path.hasPrefix("/") ? path : directory + path
    let source = sources[UTF8Key(path)] ?? SourceFile.read(full)
    sources[UTF8Key(path)] = source
    switch source {
    case .unusable(let reason):
      report(node.place, "cannot read the source '\(path)' of \(owner): \(reason)")
    case .bytes(let bytes, _) where !language.isText(bytes):
      report(node.place, "cannot read the source '\(path)' of \(owner): it is not UTF-8 text")
    case .bytes(let bytes, let digest):
      procedure.digest = digest
      let key = "\(language.language.name) \(digest)"
      let outline = outlines[key] ?? language.outline(bytes)
      outlines[key] = outline
      look(for: function, in: outline, path, procedure, at: fields["function"]?.place ?? node.place)
    }
    return path
  }

  /// Refuses a source that cannot define its function, and keeps a hint on one that does not seem to.
  private mutating func look(
    for function: String, in outline: SourceOutline, _ path: String, _ procedure: Procedure, at place: Place
  ) {
    guard !outline.names.contains(function) else { return }
    let suggestion = Spelling.nearest(to: function, in: outline.names.sorted())
    if outline.cannotDefine(function) {
      report(place, "the source '\(path)' has no function '\(function)'", suggestion: suggestion)
    } else {
      hints.append(
        SourceHint(
          sourceName: procedure.sourceName,
          diagnostic: Diagnostic(
            file: file, line: place.line, column: place.column,
            message: "no function '\(function)' was found in the source '\(path)'", suggestion: suggestion)))
    }
  }

  private mutating func language(_ node: YamlNode?, _ name: String, at place: Place) -> LanguageEntry? {
    let names = languages.entries.map(\.language.name)
    guard let node else {
      if let entry = languages.entry(forFile: name) { return entry }
      let endings = languages.entries.flatMap(\.fileEndings).joined(separator: " or ")
      let lines = names.map { "'language: \($0)'" }.joined(separator: " or ")
      report(place, "unknown language of '\(name)': name the file \(endings), or add \(lines)")
      return nil
    }
    guard let text = text(node, "'language'") else { return nil }
    if let entry = languages.entries.first(where: { $0.language.name.hasSameUTF8(as: text) }) { return entry }
    report(
      node.place,
      "'language' must be \(names.joined(separator: " or ")), found '\(text.prefix(40))'",
      suggestion: Spelling.nearest(to: text, in: names))
    return nil
  }
}
