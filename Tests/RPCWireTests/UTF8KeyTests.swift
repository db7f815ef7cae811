import RPCWire
import Testing

@Suite("Text is compared by its bytes")
struct UTF8KeyTests {
  /// Each pair is one text to `String`, and two to everybody else.
  static let equivalents = [
    ("\u{e9}", "e\u{301}"),
    ("\u{212a}", "K"),
    ("\u{37e}", ";"),
    ("\u{ac00}", "\u{1100}\u{1161}"),
    ("a\u{323}\u{307}", "a\u{307}\u{323}"),
  ]

  @Test("what is canonically equivalent are two keys", arguments: equivalents)
  func twoKeys(left: String, right: String) {
    #expect(left == right)
    #expect(UTF8Key(left) != UTF8Key(right))
    #expect(!left.hasSameUTF8(as: right))
    #expect(Set([UTF8Key(left), UTF8Key(right)]).count == 2)
    #expect([UTF8Key(left): 1, UTF8Key(right): 2][UTF8Key(left)] == 1)
    #expect(Value.string(left) != .string(right))
    #expect(Set([Value.string(left), .string(right)]).count == 2)
    let map: Value = .map([.init(left, 1), .init(right, 2)])
    #expect(map[left] == 1)
    #expect(map[right] == 2)
    #expect(Value.map([.init(left, 1)]) != .map([.init(right, 1)]))
  }

  @Test("a map holds both, in MessagePack and in JSON", arguments: equivalents)
  func maps(left: String, right: String) throws {
    let map: Value = .map([.init(left, 1), .init(right, 2)])
    #expect(try Value(messagePack: map.messagePack) == map)
    #expect(try Value(json: map.json) == map)
    let twice: Value = .map([.init(left, 1), .init(left, 2)])
    #expect(throws: WireError.duplicateKey(left)) { try Value(messagePack: twice.messagePack) }
    #expect(throws: JSONError.self) { try Value(json: twice.json) }
  }

  @Test("a Swift dictionary, which cannot hold both, is refused rather than cut", arguments: equivalents)
  func dictionary(left: String, right: String) {
    let bytes = Value.map([.init(left, 1), .init(right, 2)]).messagePack
    #expect(throws: WireError.self) {
      var reader = MessagePackReader(bytes.span.bytes)
      _ = try [String: Int].decode(from: &reader)
    }
  }

  @Test("keys sort by their bytes, as every other language's do")
  func order() {
    let texts = ["e\u{301}", "\u{e9}", "f", "e", "K", "\u{212a}", ""]
    let sorted = texts.map { UTF8Key($0) }.sorted().map { Array($0.text.utf8) }
    #expect(sorted == texts.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) })
  }

  @Test("random texts are equal where their bytes are, and hash alike then")
  func model() {
    var generator = SystemRandomNumberGenerator()
    let letters: [Unicode.Scalar] = ["e", "\u{301}", "\u{e9}", "K", "\u{212a}", "a", "\u{323}", "\u{307}"]
    var texts: [String] = []
    for _ in 0..<400 {
      var text = String.UnicodeScalarView()
      for _ in 0..<Int.random(in: 0...4, using: &generator) {
        text.append(letters.randomElement(using: &generator) ?? "e")
      }
      texts.append(String(text))
    }
    for left in texts {
      for right in texts {
        let isSame = Array(left.utf8) == Array(right.utf8)
        #expect(
          (UTF8Key(left) == UTF8Key(right)) == isSame, "\(left.debugDescription) \(right.debugDescription)")
        if isSame { #expect(UTF8Key(left).hashValue == UTF8Key(right).hashValue) }
      }
    }
    #expect(Set(texts.map { UTF8Key($0) }).count == Set(texts.map { Array($0.utf8) }).count)
  }

  private struct Record: Hashable {
    @ComparedByUTF8 var name: String
    @ComparedByUTF8 var note: String?
    @ComparedByUTF8 var tags: [String]
  }

  @Test("a struct's field is compared by its bytes, optional or in a list too", arguments: equivalents)
  func wrapped(left: String, right: String) {
    let record = Record(name: left, note: left, tags: [left])
    #expect(record == Record(name: left, note: left, tags: [left]))
    #expect(record.hashValue == Record(name: left, note: left, tags: [left]).hashValue)
    #expect(record != Record(name: right, note: left, tags: [left]))
    #expect(record != Record(name: left, note: right, tags: [left]))
    #expect(record != Record(name: left, note: nil, tags: [left]))
    #expect(record != Record(name: left, note: left, tags: [right]))
    #expect(record != Record(name: left, note: left, tags: [left, left]))
  }
}
