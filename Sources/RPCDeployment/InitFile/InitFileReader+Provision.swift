import RPCProcedures
import RPCWire

/// What a service gives its procedures beside their sources.
extension InitFileReader {
  mutating func provision(_ fields: [String: YamlNode], _ owner: String) -> Provision {
    var provision = Provision(
      environment: fields["env"].map { environment($0, of: owner) } ?? [],
      secrets: fields["secrets"].map { secrets($0, of: owner) } ?? [])
    provision.requirements = fields["requirements"].flatMap { requirements($0, of: owner) }
    if let node = fields["python"] {
      provision.python = node.text.flatMap { PythonInterpreters.isVersion($0) ? $0 : nil }
      if provision.python == nil {
        report(
          node.place,
          "'python' of \(owner) must be a version such as \"3.12\": servers choose among the interpreters that they find, "
            + "found \(node.text.map { "'\($0.prefix(40))'" } ?? node.kind)")
      }
    }
    return provision
  }

  /// The digest of the file, which travels as a source does.
  private mutating func requirements(_ node: YamlNode, of owner: String) -> String? {
    guard let path = text(node, "'requirements' of \(owner)"), checksSources else { return nil }
    let full = path.hasPrefix("/") ? path : directory + path
    switch SourceFile.readBytes(full, limit: DeploymentLimits.requirementsBytesMax) {
    case .failure(let reason):
      report(node.place, "cannot read 'requirements' '\(path.prefix(200))' of \(owner): \(reason.message)")
      return nil
    case .success(let bytes):
      guard String(validating: bytes, as: UTF8.self) != nil else {
        report(
          node.place, "cannot read 'requirements' '\(path.prefix(200))' of \(owner): it is not UTF-8 text")
        return nil
      }
      let digest = ContentDigest.hex(of: bytes)
      requirementFiles[digest] = (path, bytes)
      return digest
    }
  }

  private mutating func environment(_ node: YamlNode, of owner: String) -> [Provision.Variable] {
    var pairs: [(key: YamlNode, value: YamlNode)] = []
    switch node.content {
    case .map(let entries): pairs = entries.map { ($0.key, $0.value) }
    case .list(let items):
      for item in items {
        guard case .map(let entries) = item.content else {
          report(
            item.place, "an entry of 'env' of \(owner) must be written 'NAME: value', found \(item.kind)")
          continue
        }
        pairs += entries.map { ($0.key, $0.value) }
      }
    case .scalar:
      report(node.place, "'env' of \(owner) must be a map of 'NAME: value', found \(node.kind)")
    }
    var seen: [String: Place] = [:]
    let variables = pairs.compactMap { key, value in variable(key, value, of: owner, &seen) }
    let bytes = variables.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
    if bytes > Provision.environmentBytesMax {
      report(
        node.place, "'env' of \(owner) has \(bytes) bytes, the limit is \(Provision.environmentBytesMax)")
    }
    bound(variables.count, "variables in 'env' of \(owner)", Provision.variablesMax, at: node.place)
    return variables
  }

  private mutating func variable(
    _ key: YamlNode, _ value: YamlNode, of owner: String, _ seen: inout [String: Place]
  ) -> Provision.Variable? {
    guard let name = key.text, Provision.isVariable(name) else {
      let why =
        key.text == "TMPDIR"
        ? "'TMPDIR' is the folder that the server gives each worker"
        : "a variable has a name of letters, digits and '_' that begins with none of the digits, found "
          + "\(key.text.map { "'\($0.prefix(64))'" } ?? key.kind)"
      report(key.place, "'env' of \(owner): \(why)")
      return nil
    }
    guard declareOnce(name, key.place, "variable", in: &seen),
      let text = text(value, "'\(name)' in 'env' of \(owner)")
    else { return nil }
    return Provision.Variable(name, text)
  }

  private mutating func secrets(_ node: YamlNode, of owner: String) -> [String] {
    let names = references(node, "secrets", of: owner).filter { reference in
      if Provision.isSecret(reference.name) { return true }
      report(
        reference.place,
        "'secrets' of \(owner): '\(reference.name.prefix(64))' cannot name a secret: letters, digits, '_', '-' and "
          + "'.', but no '.' first, \(Provision.nameBytesMax) at most")
      return false
    }
    bound(names.count, "names in 'secrets' of \(owner)", Provision.secretsMax, at: node.place)
    return names.map(\.name)
  }
}
