import RPCWire
import Testing

/// What Docs/PROTOCOL.md shows is what we send and understand.
@Suite("The protocol document's vectors")
struct VectorTests {
  @Test("the document has vectors of every kind")
  func documentIsThere() {
    #expect(
      Set(VectorDocument.blocks.map(\.kind)) == [
        "preface", "frame", "values", "lenient", "refused", "deployment",
      ])
  }

  @Test("the preface is ours")
  func preface() {
    #expect(VectorDocument.rows("preface").flatMap(\.bytes) == Preface.bytes)
  }

  @Test("a value decodes to its meaning and encodes to its bytes", arguments: VectorDocument.rows("values"))
  func value(row: VectorDocument.Row) throws {
    let meaning = try #require(ValueNotation.parse(row.meaning), "the document's notation")
    #expect(meaning.messagePack == row.bytes)
    let decoded = try Value(messagePack: row.bytes)
    // By their bytes, since NaN is not equal to itself.
    #expect(decoded.messagePack == row.bytes)
    #expect(ValueType(describing: decoded) == ValueType(describing: meaning))
  }

  @Test("a longer form decodes too", arguments: VectorDocument.rows("lenient"))
  func lenient(row: VectorDocument.Row) throws {
    let meaning = try #require(ValueNotation.parse(row.meaning), "the document's notation")
    #expect(try Value(messagePack: row.bytes) == meaning)
    #expect(meaning.messagePack != row.bytes)
  }

  @Test("malformed bytes are refused for the reason given", arguments: VectorDocument.rows("refused"))
  func refused(row: VectorDocument.Row) {
    let error = #expect(throws: WireError.self) { try Value(messagePack: row.bytes) }
    let reason = row.meaning.split(separator: ":").first.map(String.init)
    #expect(error.map(Self.name) == reason)
  }

  private static func name(of error: WireError) -> String {
    switch error {
    case .truncated: "truncated"
    case .unsupportedType: "unsupported type"
    case .integerOutOfRange: "integer out of range"
    case .invalidUTF8: "not UTF-8"
    case .nestedTooDeep: "nested too deep"
    case .nonStringKey: "key that is not a string"
    case .duplicateKey: "duplicate key"
    case .trailingBytes: "trailing bytes"
    default: error.description
    }
  }

  @Test("every frame vector has its meaning here, and the reverse")
  func framesAreComplete() {
    let documented = VectorDocument.blocks.filter { $0.kind == "frame" }.map(\.name)
    #expect(documented.sorted() == FrameVectors.meanings.keys.sorted())
  }

  @Test(
    "a frame decodes to its meaning and encodes to its bytes",
    arguments: VectorDocument.blocks.filter { $0.kind == "frame" })
  func frame(block: VectorDocument.Block) throws {
    let meaning = try #require(FrameVectors.meanings[block.name])
    var queue = ByteQueue()
    meaning.encode(to: &queue)
    #expect(queue.copy() == block.bytes)

    let bytes = block.bytes
    let header = try #require(try FrameDecoder().next(in: bytes.span.bytes, at: 0))
    #expect(Int(header.length) == bytes.count - FrameHeader.byteCount)
    #expect(header == FrameHeader(queue.bytes, at: 0))
    try meaning.expectDecoded(from: header, bytes.span.bytes.extracting(FrameHeader.byteCount..<bytes.count))
  }
}
