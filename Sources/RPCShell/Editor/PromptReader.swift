/// What a person answered to the prompt.
enum PromptAnswer: Hashable, Sendable {
  case line(String)
  /// Ctrl-D on an empty line.
  case end
  /// Ctrl-C: the line was cleared.
  case interrupted
  /// A signal that ends the program.
  case terminated(Int32)
}

/// Reads commands from a terminal: the line editor, or the plain one where the terminal can do nothing. Main thread
/// only.
protocol PromptReader: AnyObject {
  func read(_ prompt: Prompt) -> PromptAnswer
  /// Puts an entry where the arrows find it.
  func remember(_ line: String)
  /// Takes back what was changed about the terminal.
  func close()
}

/// What stands before and behind the line.
struct Prompt: Hashable, Sendable {
  /// `c1@s1 `, empty for nobody at no place.
  var place: String
  var name = "rpc"
  /// `3/4 up`.
  var right: String
  var isColored: Bool

  /// As it is seen.
  var text: String { place + name + "> " }

  /// The prompt of a further row, as wide as this one: `.."> `, with what is open.
  func continuation(_ open: OpenConstruct.Kind) -> Prompt {
    let dots = String(repeating: ".", count: max(1, TextWidth.columns(text) - 3))
    return Prompt(place: "", name: dots + open.mark, right: "", isColored: isColored)
  }
}

/// What the editor asks while someone types. Called on the main thread; must not wait for anything.
protocol PromptAdvisor: AnyObject {
  /// - Parameter line: everything typed; the cursor is at its end.
  func hint(_ line: String) -> Hint?
  /// - Parameter text: what stands before the cursor.
  func complete(_ text: String) -> Completion
  /// The quote or bracket that is open at the end of a text, nil where Enter runs it.
  func openConstruct(_ text: String) -> OpenConstruct.Kind?
  /// Lines to show above the prompt, taken out.
  func takeNotices() -> [String]
  /// The prompt as it is now: who is up may have changed.
  func prompt() -> Prompt
  var style: Style { get }
  var showsHints: Bool { get }
}
