import RPCWire
import Testing

@Suite("MessagePack values")
struct MessagePackTests {
  static let values: [Value] = [
    .null, true, false, 0, 1, 127, 128, 255, 256, 65535, 65536, 4_294_967_295, 4_294_967_296,
    .int(.max), .int(.min), -1, -32, -33, -128, -129, -32768, -32769, -2_147_483_648, -2_147_483_649,
    0.0, -0.0, 1.5, .float(.infinity), .float(-.infinity), .float(.greatestFiniteMagnitude),
    .float(.leastNonzeroMagnitude), "", "a", "héllo 🌍 \0 \u{10ffff}",
    .string(String(repeating: "x", count: 70_000)),
    .bytes([]), .bytes([0, 255]), .bytes([UInt8](repeating: 7, count: 70_000)), [], [1, "two", [3.0, nil]],
    .list([Value](repeating: 1, count: 70_000)), [:], ["a": 1, "b": ["c": []]],
  ]

  @Test("a value comes back exactly as it went", arguments: values.indices)
  func roundTrip(index: Int) throws {
    let value = Self.values[index]
    #expect(try Value(messagePack: value.messagePack) == value)
  }

  @Test("a NaN keeps its bits")
  func notANumber() throws {
    let value = Double(bitPattern: 0x7ff8_0000_dead_beef)
    guard case .float(let back) = try Value(messagePack: Value.float(value).messagePack) else {
      Issue.record("no float came back")
      return
    }
    #expect(back.bitPattern == value.bitPattern)
  }

  @Test("a value cut short anywhere is an error, never a crash", arguments: values.indices)
  func truncated(index: Int) {
    let bytes = Self.values[index].messagePack
    for length in 0..<min(bytes.count, 300) {
      #expect(throws: WireError.self) { try Value(messagePack: Array(bytes.prefix(length))) }
    }
  }

  @Test(
    "a list of types is read back from its spelling",
    arguments: [
      "int", "float", "str", "bool", "bytes", "None", "Any", "List[int]", "Dict[str, List[Optional[float]]]",
    ])
  func types(text: String) throws {
    #expect(try ValueType(parsing: text).description == text)
  }
}
