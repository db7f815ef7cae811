import RPCProcedures

extension InitFileReader {
  /// The directory that relative paths start from: the file's own.
  var directory: String {
    guard let slash = file.lastIndex(of: "/") else { return "" }
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
        report(node.place, "'\(function.prefix(64))' cannot name a function")
        return nil
      }
    } else if !Names.isIdentifier(function), let node {
      report(node.place, "no function can be named '\(function)': add 'function' with its name")
      return nil
    }
    procedure.function = function

    guard let node, let path = text(node, "'src'") else { return nil }
    guard let name = path.split(separator: "/").last.map(String.init), !path.hasSuffix("/"),
      name.utf8.count <= 255
    else {
      report(node.place, "'src' of \(owner) names no file: '\(path.prefix(200))'")
      return nil
    }
    procedure.sourceName = name
    guard let language = language(fields["language"], name, at: node.place) else { return path }
    procedure.language = language
    guard checksSources else { return path }

    let full = path.hasPrefix("/") ? path : directory + path
    let source = sources[path] ?? SourceFile.read(full)
    sources[path] = source
    switch source {
    case .unusable(let reason):
      report(node.place, "the source '\(path)' of \(owner) cannot be used: \(reason)")
    case .bytes(let bytes, let digest):
      procedure.digest = digest
      let key = "\(language) \(digest)"
      let outline = outlines[key] ?? SourceFile.outline(bytes, language)
      outlines[key] = outline
      if outline.isComplete, !outline.names.contains(function) {
        let place = fields["function"]?.place ?? node.place
        report(
          place, "the source '\(path)' has no function '\(function)'",
          suggestion: Spelling.nearest(to: function, in: outline.names.sorted()))
      }
    }
    return path
  }

  private mutating func language(_ node: YamlNode?, _ name: String, at place: Place) -> Language? {
    let known = [Language.python, .lua]
    guard let node else {
      if let language = Language(fileName: name) { return language }
      report(
        place,
        "the ending of '\(name)' tells no language: it is .py or .lua, or 'language' says python or lua")
      return nil
    }
    guard let text = text(node, "'language'") else { return nil }
    if let language = known.first(where: { $0.rawValue == text }) { return language }
    let names = known.map(\.rawValue)
    report(
      node.place, "'language' must be python or lua, found '\(text.prefix(40))'",
      suggestion: Spelling.nearest(to: text, in: names))
    return nil
  }
}
