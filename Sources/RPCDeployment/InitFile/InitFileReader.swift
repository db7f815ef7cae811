import RPCNetwork
import RPCProcedures
import RPCWire

/// Reads an init.yaml and collects everything that is wrong with it: a reading never stops at an error, it goes
/// on with what is right. Extensions read one section each.
struct InitFileReader {
  let file: String
  /// Whether sources are read and looked into; a tool that only calls procedures does without.
  let checksSources: Bool
  let languages: Languages
  private(set) var diagnostics: [Diagnostic] = []
  private(set) var omitted = 0
  var networkName = DeploymentOrigin.defaultNetwork
  var servers: [DeclaredServer] = []
  var clients: [DeclaredClient] = []
  /// What the network's `ca` holds.
  var authorities: String?
  var services: [DeclaredService] = []
  var procedures: [DeclaredProcedure] = []
  /// The names in the `rpc` section by service, also of procedures that are wrong.
  var declaredNames: [UTF8Key: Set<UTF8Key>] = [:]
  /// By path as the file gives it: each source is read once, however many procedures it holds.
  var sources: [UTF8Key: SourceFile] = [:]
  /// By digest, each with its path as the file gives it.
  var requirementFiles: [String: (path: String, bytes: [UInt8])] = [:]
  /// By language and digest: as with the sources, each is scanned once.
  var outlines: [String: SourceOutline] = [:]
  /// On sources that do not seem to define their function.
  var hints: [SourceHint] = []

  init(file: String, checksSources: Bool, languages: Languages) {
    self.file = file
    self.checksSources = checksSources
    self.languages = languages
  }

  mutating func read(_ text: [UInt8]) {
    let root: YamlNode?
    do throws(YamlReader.Failure) {
      let document = try YamlReader.read(text)
      for problem in document.problems { report(problem.place, problem.message) }
      root = document.root
    } catch {
      return report(error.place, error.message)
    }
    guard let root, !root.isNull else {
      return report(.start, "the file is empty; it needs at least 'network' with its 'servers'")
    }
    var top = section(root, "the file", .file)
    guard top != nil else { return }
    if let node = required(&top, "network", "the servers and clients", at: root.place) { readNetwork(node) }
    if let node = top?["service"], !node.isNull { readServices(node) }
    if let node = top?["rpc"], !node.isNull { readProcedures(node) }
    checkReferences()
    checkProtobuf()
  }

  // MARK: Errors

  mutating func report(_ place: Place, _ message: String, suggestion: String? = nil) {
    guard diagnostics.count < DeploymentLimits.diagnosticsMax else {
      omitted += 1
      return
    }
    diagnostics.append(
      Diagnostic(
        file: file, line: place.line, column: place.column, message: message, suggestion: suggestion))
  }

  /// What was found wrong, in the order of the file.
  var errors: InitFileErrors? {
    guard !diagnostics.isEmpty else { return nil }
    let sorted = diagnostics.enumerated().sorted { left, right in
      (left.element.line, left.element.column, left.offset)
        < (right.element.line, right.element.column, right.offset)
    }
    return InitFileErrors(sorted.map(\.element), omitted: omitted)
  }

  // MARK: Maps

  /// The entries of a map with known keys, each by the first of its names. Unknown and repeated keys are
  /// reported.
  mutating func section(_ node: YamlNode, _ what: String, _ table: KeyTable) -> [String: YamlNode]? {
    guard case .map(let pairs) = node.content else {
      let names = table.keys.map { "'\($0.names[0])'" }.joined(separator: ", ")
      report(node.place, "\(what) must be a map with \(names), found \(node.kind)")
      return nil
    }
    var found: [String: YamlNode] = [:]
    var places: [String: (name: String, place: Place)] = [:]
    for (key, value) in pairs {
      guard let name = key.text else {
        report(key.place, "a key of \(what) must be a name, found \(key.kind)")
        continue
      }
      guard let names = table.key(named: name)?.names else {
        let hint = name == "<<" ? "; merge keys are not supported, write the keys out" : ""
        report(
          key.place, "unknown key '\(name.prefix(64))' in \(what)\(hint)",
          suggestion: Spelling.nearest(to: name, in: table.names))
        continue
      }
      if let earlier = places[names[0]] {
        let twice =
          earlier.name == name ? "'\(name)' twice" : "'\(earlier.name)' and '\(name)', which mean the same"
        report(key.place, "\(what) has \(twice); the first is at line \(earlier.place.line)")
        continue
      }
      places[names[0]] = (name, key.place)
      found[names[0]] = value
    }
    return found
  }

  /// The value of a key that must be there and be something.
  mutating func required(
    _ section: inout [String: YamlNode]?, _ key: String, _ what: String, at place: Place
  ) -> YamlNode? {
    guard let node = section?[key] else {
      if section != nil { report(place, "'\(key)' is missing: \(what)") }
      return nil
    }
    guard !node.isNull else {
      report(node.place, "'\(key)' is empty: \(what)")
      return nil
    }
    return node
  }

  /// The entries of a named collection, which is either a list of one-key maps (the base format) or a map.
  ///
  /// - Parameter table: the keys of one entry's own map, which tell a wrong indentation from a wrong name.
  mutating func entries(
    _ node: YamlNode, _ what: String, of table: KeyTable? = nil
  ) -> [(key: YamlNode, name: String, value: YamlNode)] {
    var entries: [(key: YamlNode, name: String, value: YamlNode)] = []
    switch node.content {
    case .map(let pairs):
      for (key, value) in pairs { append(key, value, what, to: &entries) }
    case .list(let items):
      for item in items {
        guard case .map(let pairs) = item.content else {
          report(item.place, "an entry of \(what) must be written 'NAME: {…}', found \(item.kind)")
          continue
        }
        if let stray = pairs.dropFirst().first(where: { table?.key(named: $0.key.text ?? "") != nil }) {
          report(
            stray.key.place,
            "'\(stray.key.text ?? "")' stands beside '\(pairs[0].key.text ?? "")' instead of inside it; "
              + "indent it further")
          continue
        }
        for (key, value) in pairs { append(key, value, what, to: &entries) }
      }
    case .scalar:
      report(node.place, "\(what) must be a list or a map of entries 'NAME: {…}', found \(node.kind)")
    }
    return entries
  }

  private mutating func append(
    _ key: YamlNode, _ value: YamlNode, _ what: String,
    to entries: inout [(key: YamlNode, name: String, value: YamlNode)]
  ) {
    guard let name = key.text else {
      return report(key.place, "an entry of \(what) must have a name, found \(key.kind)")
    }
    if let problem = Names.problem(with: name) {
      return report(key.place, "invalid name '\(name.prefix(64))' in \(what): \(problem)")
    }
    entries.append((key, name, value))
  }

  /// Notes that a name is declared; reports it, and is false, where it was declared before.
  mutating func declareOnce(
    _ name: String, _ place: Place, _ what: String, in seen: inout [String: Place]
  ) -> Bool {
    if let first = seen[name] {
      report(place, "\(what) '\(name)' is declared twice; the first is at line \(first.line)")
      return false
    }
    seen[name] = place
    return true
  }
}
