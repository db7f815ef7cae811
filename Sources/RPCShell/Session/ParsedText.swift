import RPCWire

/// The commands of the text that was read last, parsed once: Enter asks what is open in it, the history whether it
/// holds a secret, and then they run.
struct ParsedText {
  private var text = ""
  private var lines: [CommandLine] = []
  /// How many texts were parsed.
  private(set) var parses = 0

  mutating func commands(in text: String) -> [CommandLine] {
    if parses == 0 || !self.text.hasSameUTF8(as: text) {
      (self.text, lines) = (text, CommandLine.all(in: text))
      parses += 1
    }
    return lines
  }
}
