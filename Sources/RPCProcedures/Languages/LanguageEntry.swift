package import RPCTransport
internal import RPCWire

/// Everything that the rest of the system knows about a language.
package struct LanguageEntry: Sendable {
  package var language: Language
  /// Endings of its files' names: `.py`.
  package var fileEndings: [String]
  /// What begins a line that is a comment.
  package var comment: String
  /// Whether it can read a source as text.
  package var isText: @Sendable ([UInt8]) -> Bool
  /// What a source defines, as far as can be seen.
  package var outline: @Sendable ([UInt8]) -> SourceOutline
  /// Makes what runs its procedures on a loop.
  package var runtime: @Sendable (RuntimeContext) -> any ProcedureRuntime

  package init(
    _ language: Language, fileEndings: [String], comment: String,
    isText: @escaping @Sendable ([UInt8]) -> Bool = { _ in true },
    outline: @escaping @Sendable ([UInt8]) -> SourceOutline,
    runtime: @escaping @Sendable (RuntimeContext) -> any ProcedureRuntime
  ) {
    self.language = language
    self.fileEndings = fileEndings
    self.comment = comment
    self.isText = isText
    self.outline = outline
    self.runtime = runtime
  }
}

/// What a runtime has of the server.
package struct RuntimeContext {
  package var loop: EventLoop
  package var limits: RuntimeLimits
  /// How procedures call others; nil where they cannot.
  package var nested: (any NestedCaller)?
  /// How far processes of procedures are confined.
  package var isolation: IsolationPolicy
  /// What services may name as their secrets.
  package var secrets: SecretStore
  /// Procedures that are not called any more; the same for all loops of a server.
  package var quarantine: Quarantine
  /// What `python:` of a service chooses from.
  package var interpreters: PythonInterpreters
  /// The folder with the packages of requirements; nil where none are installed.
  package var environments: String?
  /// Takes what is worth a line in the server's log.
  package var note: (String) -> Void
  /// …and is a warning.
  package var warn: (String) -> Void
  /// Takes what procedures print.
  package var log: ProcedureOutput.Sink

  package init(
    loop: EventLoop, limits: RuntimeLimits = RuntimeLimits(), nested: (any NestedCaller)? = nil,
    isolation: IsolationPolicy = IsolationPolicy(), secrets: SecretStore = .none,
    quarantine: Quarantine? = nil, interpreters: PythonInterpreters = PythonInterpreters(),
    environments: String? = nil,
    note: @escaping (String) -> Void = { _ in }, warn: @escaping (String) -> Void = { _ in },
    log: @escaping ProcedureOutput.Sink = { _ in }
  ) {
    self.loop = loop
    self.limits = limits
    self.nested = nested
    self.isolation = isolation
    self.secrets = secrets
    self.quarantine = quarantine ?? Quarantine(limits: limits)
    self.interpreters = interpreters
    self.environments = environments
    self.note = note
    self.warn = warn
    self.log = log
  }
}

/// The languages that procedures can be deployed in.
package struct Languages: Sendable {
  package var entries: [LanguageEntry]

  package static let all = Languages([.python, .lua])

  package init(_ entries: [LanguageEntry]) {
    self.entries = entries
  }

  package subscript(language: Language) -> LanguageEntry? {
    entries.first { $0.language == language }
  }

  /// The language that a file's ending tells, or nil.
  package func entry(forFile name: String) -> LanguageEntry? {
    entries.first { $0.fileEndings.contains { name.utf8.count > $0.utf8.count && name.hasSuffix($0) } }
  }
}
