package import RPCWire

/// What a service gives its procedures beside their sources.
package struct Provision: Hashable, Sendable {
  package struct Variable: Hashable, Sendable {
    @ComparedByUTF8 package var name: String
    @ComparedByUTF8 package var value: String

    package init(_ name: String, _ value: String) {
      self._name = ComparedByUTF8(wrappedValue: name)
      self._value = ComparedByUTF8(wrappedValue: value)
    }
  }

  /// Variables of the environment, in the order of their names.
  package private(set) var environment: [Variable] = []
  /// The names of secrets that each server keeps for itself, in order.
  package private(set) var secrets: [String] = []

  /// SHA-256 of the file that says which packages its Python procedures have; nil for those of the server.
  package var requirements: String?
  /// The version of Python that runs them, such as `3.12`; nil for the server's own.
  package var python: String?

  package init() {}

  /// - Precondition: what `isVariable` and `isSecret` allow, each name once.
  package init(environment: [Variable], secrets: [String] = []) {
    self.environment = environment.sorted { UTF8Key($0.name) < UTF8Key($1.name) }
    self.secrets = secrets.sorted { UTF8Key($0) < UTF8Key($1) }
  }

  /// Nothing is given.
  package var isEmpty: Bool { self == Provision() }

  /// Without the values of the environment, for those who are told what a service has but not how it is set up.
  package var withoutValues: Provision {
    var copy = self
    copy.environment = environment.map { Variable($0.name, "") }
    return copy
  }

  // MARK: What may be given

  package static let variablesMax = 64
  /// Bytes of all variables of a service, names and values.
  package static let environmentBytesMax = 16 * 1024
  package static let secretsMax = 32
  package static let nameBytesMax = 64

  /// What programs call variables by. The folder of temporary files is the server's to say.
  package static func isVariable(_ name: String) -> Bool {
    (1...nameBytesMax).contains(name.utf8.count) && name.utf8.first.map(isDigit) == false
      && name.utf8.allSatisfy(SourceOutline.isWord) && name != "TMPDIR"
  }

  /// What can be the name of a file and of nothing else.
  package static func isSecret(_ name: String) -> Bool {
    (1...nameBytesMax).contains(name.utf8.count) && name.utf8.first != UInt8(ascii: ".")
      && name.utf8.allSatisfy {
        SourceOutline.isWord($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
      }
  }

  private static func isDigest(_ text: String) -> Bool {
    text.utf8.count == 64 && text.utf8.allSatisfy { isDigit($0) || (0x61...0x66).contains($0) }
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  private var isWithinBounds: Bool {
    environment.count <= Self.variablesMax && secrets.count <= Self.secretsMax
      && environment.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count } <= Self.environmentBytesMax
  }

  // MARK: As it travels

  var words: [String] {
    environment.map { "env=\($0.name)=\($0.value)" } + secrets.map { "secret=\($0)" }
      + [python.map { "python=\($0)" }, requirements.map { "requirements=\($0)" }].compactMap { $0 }
  }

  /// Takes one word; false where that is none of these.
  mutating func take(_ key: String, _ value: String) -> Bool {
    switch key {
    case "env":
      guard let sign = value.utf8.firstIndex(of: UInt8(ascii: "=")) else { return false }
      let name = String(value[..<sign])
      let text = String(value.utf8[value.utf8.index(after: sign)...]) ?? ""
      guard Self.isVariable(name), !text.utf8.contains(0),
        environment.last.map({ UTF8Key($0.name) < UTF8Key(name) }) ?? true
      else { return false }
      environment.append(Variable(name, text))
    case "secret":
      guard Self.isSecret(value), secrets.last.map({ UTF8Key($0) < UTF8Key(value) }) ?? true else {
        return false
      }
      secrets.append(value)
    case "python":
      guard python == nil, PythonInterpreters.isVersion(value) else { return false }
      python = value
    case "requirements":
      guard requirements == nil, Self.isDigest(value) else { return false }
      requirements = value
    default: return false
    }
    return isWithinBounds
  }
}
