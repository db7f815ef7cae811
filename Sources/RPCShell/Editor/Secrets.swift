import RPCProcedures

/// Tells whether a line holds what should not be written into a file.
enum Secrets {
  private static let words = [
    "password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "credential", "private_key",
  ]

  static func isSecret(_ name: String) -> Bool {
    let lower = name.lowercased()
    return words.contains { lower.contains($0) } || lower == "pw" || lower == "pin"
  }

  /// A named argument, a key or a procedure's parameter that is called like a secret.
  static func contains(_ lines: [CommandLine], _ snapshot: NetworkSnapshot) -> Bool {
    lines.contains { line in
      if line.binding.map({ isSecret($0.text) }) ?? false { return true }
      if line.words.contains(where: { isSecret($0) }) { return true }
      for word in line.words.prefix(3) {
        guard let name = (try? ProcedureName(word.plainText)).flatMap({ $0 }) else { continue }
        let overloads = snapshot.overloads(of: name, on: nil)
        if overloads.contains(where: { $0.signature.parameters.contains { isSecret($0.name ?? "") } }) {
          return true
        }
      }
      return false
    }
  }

  private static func isSecret(_ argument: Argument) -> Bool {
    if let name = argument.name, isSecret(name) { return true }
    return isSecret(argument.literal)
  }

  private static func isSecret(_ literal: Literal) -> Bool {
    switch literal.kind {
    case .list(let elements): elements.contains { isSecret($0) }
    case .map(let entries): entries.contains { isSecret($0.key) || isSecret($0.value) }
    default: false
    }
  }
}
