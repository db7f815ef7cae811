import RPCClient
import RPCProcedures
import RPCWire

/// How output is written.
enum OutputFormat: String, Hashable, Sendable, CaseIterable {
  /// Tables aligned, lists of dictionaries too; other results as people read them at the prompt, raw in scripts.
  case auto
  case table
  /// One complete JSON object per line.
  case json
  /// Texts verbatim, tables as lines with tabs, other values as JSON.
  case raw
}

/// Turns what commands say into text. Pure: knows no files, no terminal.
struct Renderer: Hashable, Sendable {
  var format: OutputFormat
  var style: Style
  /// Columns of the terminal.
  var width: Int
  /// Whether a person is watching: notes and result numbers are for people only.
  var isInteractive: Bool
  /// A call that took longer is told so.
  var slowAfter: Duration = .milliseconds(500)
  /// Notes are left out.
  var isQuiet = false
  /// When tables are shown as records.
  var expanded = ExpandedLayout.auto

  /// Writes by these settings from now on.
  mutating func take(_ settings: Settings) {
    format = settings.output
    style.isColored = settings.isColored
    slowAfter = settings.slow
    expanded = settings.expanded
  }

  /// The same for `| command` and `> file`: what was seen, whole and without colours.
  var forPrograms: Renderer {
    var renderer = self
    renderer.isInteractive = false
    renderer.style = .none
    if renderer.expanded == .auto { renderer.expanded = .off }
    return renderer
  }

  /// How wide a table may get.
  private var tableWidth: Int? { isInteractive ? width : nil }

  struct Text: Hashable, Sendable {
    /// Results: standard output.
    var out: String = ""
    /// What is said about them: standard error.
    var err: String = ""
  }

  func render(_ item: OutputItem) -> Text {
    switch item {
    case .note(let note): Text(err: isInteractive && !isQuiet ? style.paint(note, .dim) + "\n" : "")
    case .text(let text):
      switch format {
      case .json: Text(out: Value.map([.init("text", .string(text))]).json + "\n")
      default: Text(out: isInteractive ? TextWidth.harmless(text).endingLine : text.endingLine)
      }
    case .page(let page):
      Text(out: format == .json ? Value.map([.init("text", .string(page))]).json + "\n" : page)
    case .value(let value): Text(out: format == .json ? value.json + "\n" : shown(value) + "\n")
    case .table(let table): Text(out: text(table))
    case .fields(let fields): Text(out: text(fields))
    case .answer(let report): text(report)
    case .fanOut(let fanOut): Text(out: text(fanOut))
    }
  }

  // MARK: Calls

  private func text(_ report: Report) -> Text {
    switch format {
    case .json: return Text(out: object(report).json + "\n")
    case .auto where !isInteractive, .raw:
      return Text(out: report.answer.values.map { shown($0) + "\n" }.joined())
    case .auto, .table:
      var result = Text()
      if let overload = report.overload, isInteractive {
        result.err += style.paint("→ \(overload)", .dim) + "\n"
      }
      let prefix = report.number.map { isInteractive ? style.paint("$\($0) =", .dim) : "" } ?? ""
      result.out = labelled(prefix, shown(report.answer.values))
      if isInteractive, report.answer.elapsed >= slowAfter {
        let attempts = report.answer.attempts > 1 ? ", \(report.answer.attempts) attempts" : ""
        result.err +=
          style.paint(
            "(\(Quantity.duration(report.answer.elapsed)) on \(report.answer.server)\(attempts))", .dim)
          + "\n"
      }
      return result
    }
  }

  private func labelled(_ prefix: String, _ text: String) -> String {
    guard !prefix.isEmpty else { return text.endingLine }
    return text.contains("\n") ? prefix + "\n" + text.endingLine : prefix + " " + text.endingLine
  }

  private func shown(_ values: [Value]) -> String {
    switch values.count {
    case 0: style.paint("(no value)", .dim)
    case 1: shown(values[0])
    // Several values never look like one list.
    default: values.map { shown($0) }.joined(separator: "\n")
    }
  }

  private func shown(_ value: Value) -> String {
    let isForPeople = format == .table || format == .auto && isInteractive
    // Rows are lines for programs too, so that grep, sort and head find them.
    if isForPeople || format == .auto {
      let layout = ValueLayout(style: style, width: tableWidth, expanded: expanded)
      if let text = layout.text(value) { return text.droppingLastNewline }
    }
    guard isForPeople else { return ValueText.raw(value) }
    return TextWidth.harmless(ValueText.shown(value, width: width - 6))
  }

  private func object(_ report: Report) -> Value {
    .map([
      .init("procedure", .string(report.procedure)), .init("server", .string(report.answer.server)),
      .init("values", .list(report.answer.values)),
      .init("elapsed_us", .int(report.answer.elapsed.nanoseconds / 1000)),
    ])
  }

  // MARK: Fan-out

  private func text(_ fanOut: FanOut) -> String {
    switch format {
    case .json: return fanOut.entries.map { object($0, fanOut.procedure).json + "\n" }.joined()
    case .raw:
      return fanOut.entries.map { entry in
        switch entry.result {
        case .success(let answer):
          ([entry.server] + answer.values.map { ValueText.raw($0) }).joined(separator: "\t") + "\n"
        case .failure(let error): "\(entry.server)\t\(error)\n"
        }
      }.joined()
    case .auto, .table: return text(FanOutSummary(fanOut).table)
    }
  }

  private func object(_ entry: FanOut.Entry, _ procedure: String) -> Value {
    switch entry.result {
    case .success(let answer): return object(Report(procedure: procedure, answer: answer))
    case .failure(let error):
      return CommandFailure.call(error, procedure: procedure, server: entry.server).object
    }
  }

  // MARK: Tables and fields

  private func text(_ table: Table) -> String {
    switch format {
    case .json: table.rows.map { table.object($0).json + "\n" }.joined()
    case .raw:
      table.rows.map { row in
        row.map { ValueText.raw($0.value).replacing("\n", with: " ") }.joined(separator: "\t") + "\n"
      }
      .joined()
    case .auto, .table: table.text(style: style, width: tableWidth, expanded: expanded)
    }
  }

  private func text(_ fields: Fields) -> String {
    switch format {
    case .json: return fields.object.json + "\n"
    case .raw: return fields.fields.map { "\($0.key)\t\(ValueText.raw($0.value))\n" }.joined()
    case .auto, .table:
      let label = fields.fields.map { TextWidth.columns($0.name) }.max() ?? 0
      var out =
        fields.title.isEmpty ? "" : style.paint(TextWidth.harmless(fields.title), fields.titleRole) + "\n"
      for field in fields.fields {
        let name = "  " + TextWidth.padded(field.name, to: label) + "  "
        let indent = String(repeating: " ", count: label + 4)
        let lines = TextWidth.harmless(field.text).split(separator: "\n", omittingEmptySubsequences: false)
        let text = lines.map {
          style.paint(
            TextWidth.hanging(String($0), indent: indent.count, width: tableWidth), field.role)
        }.joined(separator: "\n" + indent)
        out += style.paint(name, .dim) + text + "\n"
      }
      return out
    }
  }

  // MARK: Failures

  /// - Parameter location: `file:line`, for scripts.
  func render(_ failure: CommandFailure, line: CommandLine? = nil, location: String? = nil) -> Text {
    if failure.kind == .told { return Text() }
    if format == .json { return Text(out: located(failure.object, location).json + "\n") }
    let prefix = location.map { $0 + ": " } ?? ""
    var text = prefix
    switch failure.kind {
    case .call(let error):
      text += style.paint(error.exception.rawValue, .bad) + ": "
      // What became of a connection means little without its server; what a procedure raised is the same anywhere.
      if let server = failure.server, error.concernsServer, !error.message.contains(server) {
        text += "\(server): "
      }
      text += TextWidth.harmless(error.message)
      if let source = error.source, !error.message.contains(source) {
        text += " (\(TextWidth.harmless(source)))"
      }
      if error.exception != .executionException, !error.message.hasSuffix(error.executed.clause) {
        text += style.paint(error.executed.clause, .warning)
      }
    case .interrupted: text += style.paint(TextWidth.harmless(failure.message.capitalizedFirst), .warning)
    default: text += style.paint("error", .bad) + ": " + TextWidth.harmless(failure.message)
    }
    text += "\n"
    if isInteractive, location == nil, let pointer = pointer(failure, line) { text += pointer }
    if let hint = failure.hint { text += style.paint(TextWidth.harmless(hint), .dim) + "\n" }
    return Text(err: text)
  }

  private func located(_ object: Value, _ location: String?) -> Value {
    guard let location, case .map(let entries) = object, case .map(let inner)? = entries.first?.value else {
      return object
    }
    return .map([.init("error", .map(inner + [.init("at", .string(location))]))])
  }

  /// The line again with a mark below what is wrong, where the line is short enough to help.
  private func pointer(_ failure: CommandFailure, _ line: CommandLine?) -> String? {
    guard let span = failure.span, let line, span.upperBound <= line.source.count else { return nil }
    let start = line.source[..<span.lowerBound].lastIndex(of: .newline).map { $0 + 1 } ?? 0
    let end = line.source[span.lowerBound...].firstIndex(of: .newline) ?? line.source.count
    let before = TextWidth.harmless(line.text(start..<span.lowerBound))
    let shown = TextWidth.harmless(line.text(start..<end))
    let marked = TextWidth.columns(TextWidth.harmless(line.text(span.lowerBound..<min(span.upperBound, end))))
    guard TextWidth.columns(shown) + 4 < width else { return nil }
    let marks =
      String(repeating: " ", count: TextWidth.columns(before)) + String(repeating: "^", count: max(1, marked))
    return "  \(shown)\n  " + style.paint(marks, .bad) + "\n"
  }
}

extension RPCError {
  fileprivate var concernsServer: Bool {
    switch exception {
    case .unavailable, .deadlineExceeded, .resourceExhausted, .protocolError, .unauthenticated: true
    default: false
    }
  }
}

extension String {
  var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }

  /// Ends with exactly the newline it has, or with one.
  var endingLine: String { hasSuffix("\n") ? self : self + "\n" }
}
