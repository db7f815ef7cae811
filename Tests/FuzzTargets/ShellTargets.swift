import RPCClient
import RPCProcedures
import RPCShell
import RPCWire

/// What the shell reads: lines that people type, scripts, sessions on record, its history.
enum ShellTargets {
  private static let topology = Topology(
    servers: [.init(name: "s1", host: "127.0.0.1", port: 8181), .init(name: "s2", host: "::1", port: 8282)],
    clients: [.init(name: "c1")],
    services: [
      .init(name: "text", providers: ["s1"], tenants: ["c1"]),
      .init(name: "math", providers: ["s1", "s2"], tenants: ["c1"]),
    ])

  private static let procedures: [Procedure] = [
    ("text", "concat", [ValueType.int, .string]), ("text", "concat", [.int, .int]),
    ("math", "mean", [.list(.float)]), ("math", "table", [.dict(.optional(.any)), .bytes, .bool]),
  ].map { service, name, types in
    Procedure(
      signature: Signature(
        service: service, name: name,
        parameters: types.enumerated().map { Parameter($1, name: "argument\($0)") }, returns: [.any]),
      language: .python)
  }

  /// A script is cut into commands that follow each other without a gap, and what stands where in them is there;
  /// a command that comes in pieces is the same one; and whatever is typed, help for it can be shown.
  static func shell(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let first = bytes.first else { return }
    let script = Array(bytes.dropFirst())
    var offset = 0
    while offset < script.count {
      let command = ShellText.command(in: script, from: offset)
      try promise(command.end > offset && command.end <= script.count, "\(command.end) behind \(offset)")
      for span in command.spans {
        try promise(
          span.lowerBound >= offset && span.upperBound <= command.end, "\(span) in \(offset)..<\(command.end)"
        )
      }
      offset = command.end
    }
    try comesInPieces(script, at: Int(first))
    let line = String(decoding: script, as: UTF8.self)
    let typed = ShellText.whileTyping(line, topology: topology, procedures: procedures)
    try promise(
      (0...line.utf8.count).contains(typed.start),
      "a completion starts at \(typed.start) of \(line.utf8.count)")
  }

  private static func comesInPieces(_ script: [UInt8], at cut: Int) throws(BrokenPromise) {
    // Pieces are lines, as they are where a script is read.
    var pieces: [[UInt8]] = []
    for line in script.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      pieces.append(line + [UInt8(ascii: "\n")])
    }
    guard pieces.count > 1, ShellText.command(in: pieces[0], from: 0).isUnfinished else { return }
    let whole = ShellText.command(in: pieces.flatMap { $0 }, from: 0)
    let joined = ShellText.command(inPieces: pieces)
    // What is wrong inside an open quote is said once it is closed.
    try promise(
      whole.isUnfinished ? whole.end == joined.end && joined.isUnfinished : whole == joined,
      "\(whole) at once, \(joined) in pieces")
  }

  /// A session on record is read or refused.
  static func recording(_ bytes: [UInt8]) throws(BrokenPromise) {
    let text = String(decoding: bytes, as: UTF8.self)
    guard let count = ShellText.commands(inRecording: text) else { return }
    try promise(count <= text.utf8.count, "\(count) commands in \(text.utf8.count) bytes")
  }

  /// What is remembered comes back, whatever stands in the file.
  static func history(_ bytes: [UInt8]) throws(BrokenPromise) {
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      let entry = ShellText.historyEntry(Array(line))
      let written = ShellText.historyLine(entry)
      try promise(!written.contains(UInt8(ascii: "\n")), "an entry of two lines: \(entry)")
      try promise(ShellText.historyEntry(written) == entry, "'\(entry)' changed on its way")
    }
  }
}
