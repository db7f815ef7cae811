import Glibc
import RPCProcedures

/// A first word of the command line that is taken for a file, though a command was meant.
package enum MistypedCommand {
  /// Why `word` cannot be the file to deploy, nil where it may be: no file has that name, and it is nearly a command's.
  package static func explanation(of word: String, commands: [String]) -> String? {
    guard !word.contains("/"), access(word, F_OK) != 0, let meant = Spelling.nearest(to: word, in: commands)
    else { return nil }
    return "there is no command and no file '\(word)' (did you mean '\(meant)'?)"
  }
}
