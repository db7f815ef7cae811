import RPCWire

enum VarsCommand: Command {
  static let name = "vars"
  static let group = CommandGroup.session
  static let summary = "list the variables and the last results"
  static let grammar = Grammar()
  static let details =
    "$name is a variable, $3 the third result, _ the last one; $3.field and $3[0] are parts of it."
  static let examples = [
    CommandExample("x = math.add 1 2", "binds $x"), CommandExample("vars", "what there is"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let variables = session.snapshotWithoutStates.variables
    var table = Table(
      [.init("name"), .init("type"), .init("value", widthMax: 80)], empty: "no variables, no results yet")
    func row(_ name: String, _ value: Value) -> [Table.Cell] {
      [
        .init(name, role: .name), .init("\(ValueType(describing: value))", role: .type),
        .init(ValueText.excerpt(value, width: ShellLimits.excerptColumns), value),
      ]
    }
    for (name, value) in variables.named.sorted(by: { $0.key < $1.key }) {
      table.rows.append(row("$" + name, value))
    }
    for number in variables.numbers.suffix(10) {
      if let value = variables.result(number) { table.rows.append(row("$\(number)", value)) }
    }
    input.output.emit(.table(table))
  }
}
