import RPCProcedures
import RPCProto
import RPCWire
import TestSupport
import Testing

/// A message of arguments with some types.
func message(_ types: ValueType...) -> ProtoMessage { message(types) }

func message(_ types: [ValueType]) -> ProtoMessage {
  ProtoMessage(
    name: "Test",
    fields: types.enumerated().map {
      ProtoField(name: "arg\($0.offset + 1)", number: UInt32($0.offset + 1), form: ProtoForm($0.element))
    })
}

extension ProtoMessage {
  func values(_ bytes: [UInt8]) throws -> [Value] {
    var output = ByteQueue()
    var scratch = Scratch()
    try decode(bytes.span.bytes, into: &output, &scratch)
    return try Value.list(messagePack: output.copy())
  }

  func bytes(_ values: [Value]) throws -> [UInt8] {
    var output = ByteQueue()
    try encode(Value.list(values).messagePack.span.bytes, to: &output)
    return output.copy()
  }
}

@Suite("Values in protobuf")
struct TranscodingTests {
  @Test("messages are what protoc's own programs write")
  func vectors() throws {
    #expect(try message(.int, .int).bytes([1, 2]) == [0x08, 1, 0x10, 2])
    #expect(try message(.int).bytes([-1]) == [0x08] + [UInt8](repeating: 0xff, count: 9) + [1])
    #expect(try message(.float).bytes([1.5]) == [0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f])
    #expect(try message(.string).bytes(["hé"]) == [0x0a, 3, 0x68, 0xc3, 0xa9])
    #expect(try message(.list(.int)).bytes([[1, 300]]) == [0x0a, 3, 1, 0xac, 2])
    #expect(try message(.list(.string)).bytes([["a", ""]]) == [0x0a, 1, 0x61, 0x0a, 0])
    #expect(try message(.dict(.int)).bytes([["k": 0]]) == [0x0a, 5, 0x0a, 1, 0x6b, 0x10, 0])
    #expect(try message(.optional(.int)).bytes([0]) == [0x08, 0])
    #expect(try message(.list(.list(.int))).bytes([[[1], []]]) == [0x0a, 3, 0x0a, 1, 1, 0x0a, 0])
    #expect(try message(.any).bytes([.bool(true)]) == [0x0a, 2, 0x20, 1])
    let long = String(repeating: "x", count: 200)
    #expect(
      try message(.list(.optional(.string))).bytes([[.string(long)]]).prefix(6) == [
        0x0a, 0xcb, 1, 0x0a, 0xc8, 1,
      ])
  }

  @Test("what is missing is the type's zero, and what is zero is left out")
  func zeros() throws {
    let types: [ValueType] = [
      .int, .float, .string, .bool, .bytes, .none, .any, .list(.int), .dict(.int), .optional(.int),
      .optional(.list(.int)),
    ]
    let zeros: [Value] = [0, 0.0, "", false, .bytes([]), nil, nil, [], [:], nil, nil]
    #expect(try message(types).values([]) == zeros)
    #expect(try message(types).bytes(zeros) == [])
    #expect(try message(.float).bytes([.float(-0.0)]).count == 9, "minus zero is not zero")
  }

  @Test("fields come in any order, the last of a kind counts, and lists come packed or not")
  func order() throws {
    #expect(try message(.int, .int).values([0x10, 2, 0x08, 1, 0x08, 7]) == [7, 2])
    #expect(try message(.list(.int)).values([0x08, 1, 0x0a, 2, 2, 3, 0x08, 4]) == [[1, 2, 3, 4]])
    // An unknown number, a known one of another wire type, and a group.
    #expect(try message(.int).values([0x08, 5, 0x50, 1, 0x0a, 1, 0x61, 0x5b, 0x08, 9, 0x5c]) == [5])
    // Two lists whose parts alternate.
    #expect(
      try message(.list(.string), .list(.string)).values([0x0a, 1, 0x61, 0x12, 1, 0x62, 0x0a, 1, 0x63])
        == [["a", "c"], ["b"]])
    // Of two entries with one key the last counts.
    #expect(
      try message(.dict(.int)).values([0x0a, 5, 0x0a, 1, 0x6b, 0x10, 1, 0x0a, 5, 0x0a, 1, 0x6b, 0x10, 2]) == [
        ["k": 2]
      ])
    // The parts of one message are put together.
    #expect(
      try message(.optional(.list(.int))).values([0x0a, 3, 0x0a, 1, 1, 0x0a, 3, 0x0a, 1, 2]) == [[1, 2]])
    #expect(
      try message(.any).values([0x0a, 6, 0x32, 4, 0x0a, 2, 0x20, 1, 0x0a, 6, 0x32, 4, 0x0a, 2, 0x20, 0]) == [
        [true, false]
      ])
  }

  @Test("pinned numbers count")
  func pins() throws {
    let pinned = ProtoMessage(
      name: "Test",
      fields: [
        ProtoField(name: "a", number: 4, form: ProtoForm(.int)),
        ProtoField(name: "b", number: 2, form: ProtoForm(.int)),
      ])
    #expect(try pinned.bytes([1, 2]) == [0x20, 1, 0x10, 2])
    #expect(try pinned.values([0x10, 2, 0x20, 1, 0x08, 9]) == [1, 2])
  }

  @Test(
    "Any keeps what JSON's numbers cannot tell",
    arguments: [
      (.int(9_007_199_254_740_993), .int(9_007_199_254_740_993)), (.int(.min), .int(.min)),
      (.int(3), .int(3)),
      (.float(3), .int(3)), (.float(0.5), .float(0.5)), (.float(.infinity), .float(.infinity)),
      (.float(-0.0), .float(-0.0)), (.bytes([1, 2]), .bytes([1, 2])), (.null, .null),
      (["a": [1, .null, "x"]], ["a": [1, .null, "x"]]), (["$int": "x"], ["$int": "x"]),
    ] as [(Value, Value)])
  func any(_ value: Value, _ back: Value) throws {
    #expect(try message(.any).values(try message(.any).bytes([value])) == [back])
  }

  @Test("NaN keeps its kind")
  func nan() throws {
    for type in [ValueType.any, .float] {
      let back = try message(type).values(try message(type).bytes([.float(.nan)]))
      #expect(back[0].floatValue?.isNaN == true)
    }
  }

  @Test(
    "what is no message is refused",
    arguments: [
      ([0x08], "ends inside"), ([0x0a, 5, 1], "ends inside"), ([0x00, 1], "number 0"),
      ([0x0e], "wire type 6"),
      ([0x08] + [UInt8](repeating: 0xff, count: 11), "longer than 64"), ([0x5c], "without a beginning"),
      ([0x5b, 0x64], "ends inside the group"), ([0x12, 1, 0xff], "UTF-8"), ([0x1a, 1, 0x80], "ends inside"),
    ] as [([UInt8], String)])
  func refused(_ bytes: [UInt8], _ words: String) throws {
    let error = #expect(throws: ProtoError.self) { try message(.int, .string, .list(.int)).values(bytes) }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
  }

  @Test("an Any that nests too deep is refused, one that just fits is not")
  func depth() throws {
    func nested(_ levels: Int) -> Value {
      (0..<levels).reduce(Value.bool(true)) { value, _ in .list([value]) }
    }
    for levels in [1, WireLimits.nestingDepthMax] {
      #expect(try message(.any).values(try message(.any).bytes([nested(levels)])) == [nested(levels)])
    }
    #expect(throws: ProtoError.self) { try message(.any).bytes([nested(WireLimits.nestingDepthMax + 1)]) }
    var bytes: [UInt8] = [0x20, 1]
    for _ in 0...WireLimits.nestingDepthMax {
      var outer = ByteQueue()
      // A ListValue in a Value.
      for number: UInt8 in [0x0a, 0x32] {
        outer.removeAll()
        outer.append(number)
        outer.append(UInt8(bytes.count & 0x7f) | (bytes.count > 127 ? 0x80 : 0))
        if bytes.count > 127 { outer.append(UInt8(bytes.count >> 7)) }
        outer.append(bytes)
        bytes = outer.copy()
      }
    }
    bytes = [0x0a, UInt8(bytes.count & 0x7f) | 0x80, UInt8(bytes.count >> 7)] + bytes
    #expect(throws: ProtoError.self) { try message(.any).values(bytes) }
  }

  @Test(
    "lists whose parts alternate are read up to a bound",
    arguments: [ProtoLimits.interleavingMax, ProtoLimits.interleavingMax + 2])
  func interleaving(lists: Int) throws {
    var bytes: [UInt8] = []
    for _ in 0..<100 { for number in 1...lists { bytes += [UInt8(number << 3 | 2), 0] } }
    let wanted = Result { try message([ValueType](repeating: .list(.string), count: lists)).values(bytes) }
    #expect(((try? wanted.get()) != nil) == (lists == ProtoLimits.interleavingMax))
  }
}
