/// What can be seen of a source without running it.
///
/// Only its language can say what a source defines: a server runs it before it says that it is prepared, and
/// refuses it where the function is missing. What is seen here refuses a source in one case only: nothing in it
/// can name the function, see `cannotDefine(_:)`. Otherwise it makes a hint, which is shown where a server has
/// refused the source.
package struct SourceOutline {
  /// The names that it defines as far as can be seen.
  package var names: Set<String> = []
  /// Every word in it, also in comments and strings.
  package var words: Set<String> = []
  /// Whether it may define names that it does not spell: by `import *`, by `globals()`, through `_G`.
  package var mayDefineOthers = false

  package init(names: Set<String> = [], words: Set<String> = [], mayDefineOthers: Bool = false) {
    self.names = names
    self.words = words
    self.mayDefineOthers = mayDefineOthers
  }

  /// Whether the source cannot define a function of that name, whatever it does when it runs: the name does not
  /// occur in it, not even in a string or a comment, and it uses nothing that defines names by other means.
  package func cannotDefine(_ name: String) -> Bool {
    !mayDefineOthers && !words.contains(name)
  }

  /// Every run of ASCII letters, digits and underscores.
  package static func words(in bytes: [UInt8]) -> Set<String> {
    var words: Set<String> = []
    for word in bytes.split(whereSeparator: { !isWord($0) }) {
      words.insert(String(decoding: word, as: UTF8.self))
    }
    return words
  }

  package static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}
