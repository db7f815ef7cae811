/// One thing that a program can be told: as a flag, as a key of its file, as a variable of the environment.
package struct SettingKey: Hashable, Sendable {
  package enum Kind: Hashable, Sendable {
    case value
    /// A flag that may be given several times, and a list in the file.
    case list
    /// A flag without a value, true or false in the file.
    case flag
  }

  /// As the flag without its dashes and as the file has it: `max-frame`.
  package var name: String
  package var kind: Kind
  /// Whether it is an argument without a flag, at this place among those.
  package var position: Int?
  /// Whether its values are paths, which start from where the file is that names them.
  package var isPath = false
  /// Whether there is a flag that says the opposite.
  package var hasOpposite = false
  /// What holds where nobody says anything, as the help shows it.
  package var fallback: String?
  /// The help's section that has it.
  package var section: String?

  package init(
    name: String, kind: Kind, position: Int? = nil, isPath: Bool = false, fallback: String? = nil,
    section: String? = nil
  ) {
    self.name = name
    self.kind = kind
    self.position = position
    self.isPath = isPath
    self.fallback = fallback
    self.section = section
  }

  /// The variable of the environment: `RPC_SERVER_MAX_FRAME` for the program `rpc-server`.
  package func variable(of program: String) -> String {
    "\(program)-\(name)".uppercased().replacing("-", with: "_")
  }
}
