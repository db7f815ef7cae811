import Foundation

/// Compares what a document shows with what happened, but for what differs from run to run.
enum ShownOutput {
  /// Durations, times, digests, counts of processes and the like, each by a word; columns by one space.
  static func comparable(_ line: String) -> String {
    var line = line
    line.replace(#/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?/#, with: "<time>")
    line.replace(#/\d[\d.,]* ?(ns|µs|us|ms|s|min|h)\b/#, with: "<duration>")
    line.replace("<duration> … <duration>", with: "<duration>")
    line.replace(#/ssh-ed25519 AAAA[A-Za-z0-9+/]+/#, with: "ssh-ed25519 <key>")
    line.replace(#/\b[0-9a-f]{8,64}\b/#, with: "<digest>")
    line.replace(#/SHA256:[A-Za-z0-9+/]{43}/#, with: "SHA256:<digest>")
    // The rule above a record is as long as its longest row, and our ports are longer.
    line.replace(#/-{5,}/#, with: "-----")
    line.replace(#/process \d+/#, with: "process <number>")
    // The last columns of `servers`: generations and calls grow with every example that was run before.
    line.replace(#/^(s\d +up .*?) \d+ +\d+$/#) { "\($0.output.1) <counts>" }
    line.replace(#/generation \d+, round trip/#, with: "generation <number>, round trip")
    // Numbers of results grow likewise.
    line.replace(#/^\$\d+ = /#, with: "$<number> = ")
    // What the prompt shows at the right edge is not a part of the line.
    line.replace(#/\ {4,}\d+/\d+ up$/#, with: "")
    line.replace(#/\ +/#, with: " ")
    while line.last == " " { line.removeLast() }
    return line
  }

  /// Why they differ, or nil. A shown line `…` stands for any lines.
  static func difference(shown: [String], actual: [String]) -> String? {
    // Where most of the time went is said only where most of it went there.
    var shown = shown.map(comparable).filter { !$0.hasPrefix(" of which ") }[...]
    var actual = actual.map(comparable).filter { !$0.hasPrefix(" of which ") }[...]
    while shown.last == "" { shown.removeLast() }
    while actual.last == "" { actual.removeLast() }
    let whole = (Array(shown), Array(actual))
    while let line = shown.popFirst() {
      if line == "…" {
        guard let next = shown.first else { return nil }
        while let other = actual.first, other != next { actual.removeFirst() }
        continue
      }
      guard let other = actual.popFirst(), other == line else { return describe(whole) }
    }
    return actual.isEmpty ? nil : describe(whole)
  }

  private static func describe(_ lines: ([String], [String])) -> String {
    "shown:\n  \(lines.0.joined(separator: "\n  "))\nhappened:\n  \(lines.1.joined(separator: "\n  "))"
  }
}
