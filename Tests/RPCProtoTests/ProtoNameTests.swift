import RPCProto
import RPCWire
import Testing

@Suite("Names in gRPC")
struct ProtoNameTests {
  @Test(
    "hyphens become underscores, and messages are called in CamelCase",
    arguments: [
      ("add", "add", "Add"), ("add-all", "add_all", "AddAll"), ("addAll", "addAll", "AddAll"),
      ("_a1", "_a1", "A1"), ("_1", "_1", "X1"), ("a__b", "a__b", "AB"), ("_", "_", "X"),
    ])
  func names(_ name: String, _ identifier: String, _ message: String) {
    #expect(ProtoNames.identifier(name) == identifier)
    #expect(ProtoNames.messageName(of: ProtoNames.identifier(name)) == message)
  }

  @Test("an overload is told apart by its types in prefix notation")
  func overloads() {
    #expect(ProtoNames.overload("concat", [.int, .string]) == "concat__int_str")
    #expect(ProtoNames.overload("join", [.list(.string), .string]) == "join__list_str_str")
    #expect(
      ProtoNames.overload("set-all", [.dict(.optional(.float)), .any]) == "set_all__dict_optional_float_any")
    #expect(ProtoNames.overload("now", []) == "now__noargs")
    #expect(ProtoNames.overload("now", [.none]) == "now__none")
  }
}
