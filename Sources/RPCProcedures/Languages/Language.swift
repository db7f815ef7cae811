package import RPCWire

/// What a procedure is written in, by its name.
package struct Language: Hashable, Sendable {
  /// As `language:` of init.yaml has it.
  @ComparedByUTF8 package var name: String

  /// A closure of the program that embeds the server: nothing that could be deployed.
  package static let closure = Language(name: "closure")

  /// - Parameter name: lower-case letters, digits, `-` and `_`, 32 at most.
  package init(name: String) {
    precondition(Self.isName(name), "'\(name)' names no language")
    self._name = ComparedByUTF8(wrappedValue: name)
  }

  /// As catalogues and manifests have it. A closure is written in Swift, which is what they say.
  package var rawValue: String { self == .closure ? "swift" : name }

  /// The language that a catalogue or a manifest says, nil where that is not a name. `swift` is a closure; what is deployed
  /// has a digest, see `init(rawValue:digest:)`.
  package init?(rawValue: String) {
    self.init(rawValue: rawValue, digest: "")
  }

  /// The language of a procedure whose source has this digest: empty for a closure.
  package init?(rawValue: String, digest: String) {
    guard Self.isName(rawValue) else { return nil }
    self = rawValue == "swift" && digest.isEmpty ? .closure : Language(name: rawValue)
  }

  private static func isName(_ text: String) -> Bool {
    (1...32).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
          UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }
}
