import RPCClient
import RPCProcedures
import RPCWire

/// What a command has to say. How it looks is the renderer's business.
enum OutputItem: Hashable, Sendable {
  /// A call's values.
  case answer(Report)
  /// The answers of several servers to the same call.
  case fanOut(FanOut)
  case table(Table)
  /// One thing described: headings with lines of name and value.
  case fields(Fields)
  /// A text as it is: a source, a help page.
  case text(String)
  /// A text of the shell's own, with its colours: `help`.
  case page(String)
  /// A value that nobody was called for.
  case value(Value)
  /// For people only: never among the results of a script.
  case note(String)
}

/// A finished call, with what is known about it.
struct Report: Hashable, Sendable {
  var procedure: String
  var answer: CallResult
  /// The number it is kept under (`$3`), nil when it was not kept.
  var number: Int?
  /// Which overload was chosen, where that was not obvious.
  var overload: Signature?
}

/// The answers of several servers.
struct FanOut: Hashable, Sendable {
  struct Entry: Hashable, Sendable {
    var server: String
    var elapsed: Duration
    var result: Result<CallResult, RPCError>
  }

  var procedure: String
  /// In the order the servers were named.
  var entries: [Entry]
}

struct Fields: Hashable, Sendable {
  struct Field: Hashable, Sendable {
    var name: String
    /// In JSON; carries the unit of a number that has one.
    var key: String
    var text: String
    var value: Value
    var role: TextRole

    init(
      _ name: String, _ text: String, _ value: Value? = nil, key: String? = nil, role: TextRole = .plain
    ) {
      self.name = name
      self.key = key ?? name.replacing(" ", with: "_")
      self.text = text
      self.value = value ?? .string(text)
      self.role = role
    }
  }

  var title: String
  var titleRole: TextRole = .heading
  var fields: [Field]

  init(_ title: String, _ fields: [Field], titleRole: TextRole = .heading) {
    self.title = title
    self.fields = fields
    self.titleRole = titleRole
  }

  /// For programs: the title as `name`, then the fields.
  var object: Value {
    .map(
      [Value.Entry("name", .string(title))]
        + fields.map { Value.Entry($0.key, $0.value) })
  }
}
