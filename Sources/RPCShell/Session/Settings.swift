import RPCWire

/// What `set` changes.
struct Settings: Hashable, Sendable {
  /// How long a call may take, nil for as long as it wants.
  var timeout: Duration? = .seconds(30)
  var output: OutputFormat = .auto
  /// Calls that took longer are told so.
  var slow: Duration = .milliseconds(500)
  var retry = true
  var pager = true
  var hints = true
  /// Calls of a script in flight at once; 1 waits for each answer.
  var pipeline = 256
  var isColored = false
  var expanded = ExpandedLayout.auto
  /// Goes with every call.
  var metadata: [String: Value] = [:]
}

/// One setting: its name, what it means, how it is read and written.
struct Setting: Sendable {
  var name: String
  var help: String
  /// What may be set, for completion.
  var choices: [String]
  var read: @Sendable (Settings) -> String
  /// Returns what would be right when the text is not.
  var write: @Sendable (inout Settings, String) -> String?

  static let all: [Setting] = [
    Setting(
      name: "color", help: "colours on the terminal", choices: onOff, read: { onOff($0.isColored) },
      write: { settings, text in set(&settings.isColored, text) }),
    Setting(
      name: "expanded", help: "tables as records: on, off, or where rows do not fit",
      choices: ExpandedLayout.allCases.map(\.rawValue), read: { $0.expanded.rawValue },
      write: { settings, text in
        guard let expanded = ExpandedLayout(rawValue: text) else {
          return "one of \(ExpandedLayout.allCases.map(\.rawValue).joined(separator: ", "))"
        }
        settings.expanded = expanded
        return nil
      }),
    Setting(
      name: "hints", help: "dim hints behind the cursor while typing", choices: onOff,
      read: { onOff($0.hints) },
      write: { settings, text in set(&settings.hints, text) }),
    Setting(
      name: "output", help: "how results are written", choices: OutputFormat.allCases.map(\.rawValue),
      read: { $0.output.rawValue },
      write: { settings, text in
        guard let format = OutputFormat(rawValue: text) else {
          return "one of \(OutputFormat.allCases.map(\.rawValue).joined(separator: ", "))"
        }
        settings.output = format
        return nil
      }),
    Setting(
      name: "pager", help: "page output that is longer than the screen", choices: onOff,
      read: { onOff($0.pager) },
      write: { settings, text in set(&settings.pager, text) }),
    Setting(
      name: "pipeline", help: "calls of a script in flight at once; 1 waits for each answer",
      choices: ["1", "256"], read: { String($0.pipeline) },
      write: { settings, text in
        guard let count = Int(text), (1...ShellLimits.pipelineCallsMax).contains(count) else {
          return "a number from 1 to \(ShellLimits.pipelineCallsMax)"
        }
        settings.pipeline = count
        return nil
      }),
    Setting(
      name: "retry", help: "repeat a call that was certainly not executed", choices: onOff,
      read: { onOff($0.retry) }, write: { settings, text in set(&settings.retry, text) }),
    Setting(
      name: "slow", help: "show the time of calls that take longer", choices: ["0", "500ms", "1s"],
      read: { Quantity.duration($0.slow) },
      write: { settings, text in
        guard let duration = Quantity.duration(parsing: text) else { return "a time such as 500ms or 2s" }
        settings.slow = duration
        return nil
      }),
    Setting(
      name: "timeout", help: "how long a call may take", choices: ["none", "5s", "30s"],
      read: { $0.timeout.map { Quantity.duration($0) } ?? "none" },
      write: { settings, text in
        if text == "none" {
          settings.timeout = nil
          return nil
        }
        guard let duration = Quantity.duration(parsing: text), duration > .zero else {
          return "a time such as 500ms or 30s, or none"
        }
        settings.timeout = duration
        return nil
      }),
  ]

  static func named(_ name: String) -> Setting? { all.first { $0.name == name } }

  private static let onOff = ["on", "off"]
  private static func onOff(_ value: Bool) -> String { value ? "on" : "off" }

  private static func set(_ target: inout Bool, _ text: String) -> String? {
    switch text {
    case "on", "true", "yes", "1": target = true
    case "off", "false", "no", "0": target = false
    default: return "on or off"
    }
    return nil
  }
}
