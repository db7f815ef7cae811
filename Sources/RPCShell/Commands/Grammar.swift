/// What may follow a command's name: the flags it knows and the slots its words fill. Parsing, usage lines, hints
/// and completion are all derived from it.
struct Grammar: Sendable {
  /// What a word is, which decides how it is completed and checked.
  enum Kind: Hashable, Sendable {
    case command
    case server
    /// One server, several (`s1,s2`) or all (`*`).
    case servers
    case service
    case client
    case procedure
    /// The arguments of the procedure before.
    case arguments
    /// Another command with its words.
    case line
    case file
    case job
    case variable
    case count
    case number
    case duration
    case choice([String])
    case text
  }

  enum Presence: Hashable, Sendable {
    case required
    case optional
    /// None or more, to the end of the line.
    case rest
    /// One or more, to the end of the line.
    case requiredRest

    var isRequired: Bool { self == .required || self == .requiredRest }
    var isRest: Bool { self == .rest || self == .requiredRest }
  }

  struct Slot: Hashable, Sendable {
    /// As it stands in the usage line: `SERVER`.
    var label: String
    var kind: Kind
    var presence: Presence

    init(_ label: String, _ kind: Kind, _ presence: Presence = .required) {
      self.label = label
      self.kind = kind
      self.presence = presence
    }

    var usage: String {
      switch presence {
      case .required: label
      case .optional: "[\(label)]"
      case .rest: "[\(label)…]"
      case .requiredRest: "\(label)…"
      }
    }
  }

  struct Flag: Hashable, Sendable {
    /// `-n`, `--count`.
    var names: [String]
    /// The label and kind of its value, nil for a switch.
    var value: Slot?
    var help: String

    init(_ names: String..., value: Slot? = nil, help: String) {
      self.names = names
      self.value = value
      self.help = help
    }

    /// `-n COUNT`.
    var usage: String { names.joined(separator: ", ") + (value.map { " " + $0.label } ?? "") }
  }

  var flags: [Flag]
  var slots: [Slot]

  init(flags: [Flag] = [], _ slots: Slot...) {
    self.flags = flags
    self.slots = slots
  }

  /// `[SERVER] SERVICE.RPC ARG…`.
  var usage: String {
    var parts = flags.map { "[\($0.names[0])\($0.value.map { " " + $0.label } ?? "")]" }
    parts += slots.map(\.usage)
    return parts.joined(separator: " ")
  }
}
