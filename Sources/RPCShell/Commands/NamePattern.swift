import RPCProcedures

/// A name with `*` for any letters and `?` for one: `text`, `text.c*`, `*add*`. Pure.
struct NamePattern: Hashable, Sendable {
  private let pattern: [Unicode.Scalar]

  init(_ text: String) { pattern = Array(text.unicodeScalars) }

  /// By the service, the procedure, or both with the dot between them.
  func matches(_ signature: Signature) -> Bool {
    matches(signature.qualifiedName) || matches(signature.service) || matches(signature.name)
  }

  func matches(_ name: String) -> Bool {
    let name = Array(name.unicodeScalars)
    var (index, position) = (0, 0)
    // Where the last * stood, and what it has taken so far: the only place to go back to.
    var star: (index: Int, position: Int)?
    while position < name.count {
      if index < pattern.count, pattern[index] == "*" {
        star = (index, position)
        index += 1
      } else if index < pattern.count, pattern[index] == "?" || pattern[index] == name[position] {
        index += 1
        position += 1
      } else if let last = star {
        star = (last.index, last.position + 1)
        (index, position) = (last.index + 1, last.position + 1)
      } else {
        return false
      }
    }
    return pattern[index...].allSatisfy { $0 == "*" }
  }
}
