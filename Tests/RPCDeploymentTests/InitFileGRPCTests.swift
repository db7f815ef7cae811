import RPCProcedures
import RPCProto
import Testing

@testable import RPCDeployment

/// What an init.yaml says of gRPC: names, field numbers, and what gRPC cannot tell apart.
@Suite("gRPC in an init.yaml")
struct InitFileGRPCTests {
  /// The entries of a service `text` from line 14 on, and what is reported.
  private static func errors(_ entries: String..., names: String = "f") throws -> [String] {
    let valid = InitFileErrorTests.valid.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
    let text = valid.joined(separator: "\n").replacing("rpcs: [f]", with: "rpcs: [\(names)]")
    return try InitFileErrorTests.errors(text + "\n" + entries.map { "    - \($0)" }.joined(separator: "\n"))
  }

  @Test("field numbers may be pinned, of arguments with names and without, and of return values")
  func pins() throws {
    #expect(
      try Self.errors(
        "f: {args: [{type: int, field: 4}, b: {type: str, field: 1}], returns: [{type: int, field: 7}], src: f.py}"
      ) == [])
    // Two arguments of these names are no pin.
    #expect(try Self.errors("f: {args: [type: int, field: int], returns: [], src: f.py}") == [])
  }

  @Test(
    "what a field number cannot be is told with its place",
    arguments: [
      ("0", "14:40: 'field' in 'args' of procedure 'text.f' must be from 1 to 536870911, not 0"),
      ("-1", "14:40: 'field' in 'args' of procedure 'text.f' must be from 1 to 536870911, not -1"),
      (
        "536870912",
        "14:40: 'field' in 'args' of procedure 'text.f' must be from 1 to 536870911, not 536870912"
      ),
      (
        "19500",
        "14:40: 'field' in 'args' of procedure 'text.f' must not be from 19000 to 19999, which protobuf keeps for itself; "
          + "it is 19500"
      ),
      ("x", "14:40: 'field' in 'args' of procedure 'text.f' must be a field number of protobuf, found 'x'"),
      ("'4'", "14:40: 'field' in 'args' of procedure 'text.f' must be a field number of protobuf, found '4'"),
    ])
  func numbers(_ number: String, _ message: String) throws {
    #expect(
      try Self.errors("f: {args: [a: {type: int, field: \(number)}, b: int], returns: [], src: f.py}") == [
        message
      ])
  }

  @Test("names and numbers that gRPC cannot tell apart are told with both places")
  func collisions() throws {
    let both = try Self.errors(
      "get-item: {args: [], returns: [], src: f.py, function: f}",
      "get_item: {args: [], returns: [], src: f.py, function: f}", names: "get-item, get_item")
    #expect(
      both == [
        "15:7: text.get_item() -> None and text.get-item() -> None have messages of the same name in gRPC, 'GetItemRequest'; give one of "
          + "them another name there with 'grpc: NAME'; the other is at line 14"
      ])
    #expect(
      try Self.errors(
        "get-item: {args: [], returns: [], src: f.py, function: f, grpc: fetch}",
        "get_item: {args: [], returns: [], src: f.py, function: f}", names: "get-item, get_item") == [])
    for (arguments, words) in [
      ("[a_b: int, aB: int]", "the names 'a_b' and 'aB' are the same in some of its languages"),
      ("[a: int, b: {type: int, field: 1}]", "'a' and 'b' have the same field number, 1"),
    ] {
      let found = try Self.errors("f: {args: \(arguments), returns: [], src: f.py}")
      #expect(
        found.count == 1 && found[0].hasPrefix("14:7: text.f(") && found[0].hasSuffix(words), "\(found)")
    }
  }

  @Test(
    "a name that gRPC does not take is told",
    arguments: [
      ("9a", "a name in gRPC starts with a letter or '_' and holds letters, digits and '_'"),
      ("a-b", "a name in gRPC starts with a letter or '_' and holds letters, digits and '_'"),
      ("''", "a name cannot be empty"),
    ])
  func names(_ name: String, _ words: String) throws {
    let found = try Self.errors("f: {args: [int, int], returns: [], src: f.py, grpc: \(name)}")
    let shown = name == "''" ? "" : name
    #expect(found == ["14:59: invalid name '\(shown)' in 'grpc' of procedure 'text.f': \(words)"])
  }

  @Test("services whose names are gRPC's own, or collide there, are told with both places")
  func services() throws {
    func errors(_ second: String) throws -> [String] {
      let text = InitFileErrorTests.valid.replacing(
        "rpc:", with: "  - \(second): {providers: [s1], tenants: [], rpcs: []}\nrpc:", maxReplacements: 1)
      return try InitFileErrorTests.errors(text)
    }
    for (name, words) in [
      ("grpc", "the name 'grpc' is that of a package of gRPC or protobuf"),
      ("google", "the name 'google' is that of a package of gRPC or protobuf"),
      (
        "Text",
        "services 'text' and 'Text' have the same name in gRPC or in what is made of it, 'Text'; the other is at line 8"
      ),
      (
        "text_types",
        "service 'text_types' has the name of the package of the messages of 'text' in gRPC; the other is at line 8"
      ),
    ] {
      #expect(try errors(name) == ["12:5: " + words])
    }
  }
}
