import RPCWire
import Testing

@testable import RPCProcedures

@Suite("What is wrong with the arguments of a call")
struct OverloadMismatchTests {
  private static func catalogue(_ signatures: [Signature]) -> Catalogue {
    Catalogue(
      serial: 1, digest: "",
      services: [
        CatalogueService(name: "s", tenants: nil, providers: ["s1"], isServedHere: true),
        CatalogueService(name: "far", tenants: nil, providers: ["s2", "s3"], isServedHere: false),
        CatalogueService(name: "near", tenants: nil, providers: ["s2"], isServedHere: false),
      ], clients: [],
      procedures: signatures.enumerated().map { index, signature in
        BoundProcedure(
          id: UInt32(index), procedure: Procedure(signature: signature, language: .lua),
          implementation: .system(0), service: 0)
      })
  }

  private static func signature(_ parameters: [Parameter], _ returns: [ValueType] = [.string]) -> Signature {
    Signature(service: "s", name: "f", parameters: parameters, returns: returns)
  }

  private static let none = [signature([])]
  private static let named = [signature([Parameter(.string, name: "name")])]
  private static let pair = [signature([Parameter(.int, name: "a"), Parameter(.float, name: "b")])]
  private static let plain = [signature([Parameter(.int), Parameter(.list(.string))])]
  private static let overloaded = [
    signature([Parameter(.int), Parameter(.string)]), signature([Parameter(.int), Parameter(.int)], [.int]),
  ]
  private static let crossed = [
    signature([Parameter(.int), Parameter(.string)]), signature([Parameter(.string), Parameter(.int)]),
  ]
  private static let counts = [
    signature([Parameter(.int)]), signature([]), signature([.init(.int), .init(.int), .init(.int)]),
  ]

  static let cases: [(overloads: [Signature], arguments: [ValueType], returns: [ValueType]?, cause: String)] =
    [
      (named, [], nil, "missing argument 'name: str'"),
      (pair, [], nil, "missing arguments 'a: int', 'b: float'"),
      (pair, [.int], nil, "missing argument 'b: float'"),
      (plain, [.int], nil, "missing argument 'List[str]'"),
      (overloaded, [.int], nil, "missing argument 2 (str or int)"),
      (none, [.int], nil, "too many arguments: expected none, found 1"),
      (named, [.string, .int], nil, "too many arguments: expected 1, found 2"),
      (counts, [.int, .int], nil, "wrong number of arguments: expected 0, 1 or 3, found 2"),
      (named, [.int], nil, "wrong type of argument 1 'name': expected str, found int"),
      (plain, [.int, .list(.int)], nil, "wrong type of argument 2: expected List[str], found List[int]"),
      (
        pair, [.string, .bool], nil,
        "wrong type of argument 1 'a': expected int, found str; wrong type of argument 2 'b': expected float, found bool"
      ),
      (overloaded, [.string, .int], nil, "wrong type of argument 1: expected int, found str"),
      (overloaded, [.int, .bool], nil, "wrong type of argument 2: expected str or int, found bool"),
      (counts, [.string], nil, "wrong type of argument 1: expected int, found str"),
      (named, [.string], [.int], "wrong return types: the procedure returns (str), the call expects (int)"),
      (crossed, [.int, .int], nil, "no overload takes (int, int)"),
    ]

  @Test("the cause comes first, then every signature that would be right", arguments: cases.indices)
  func cause(index: Int) {
    let (overloads, arguments, returns, cause) = Self.cases[index]
    let catalogue = Self.catalogue(overloads)
    let valid = overloads.map { "\n  \($0)" }.joined()
    #expect(throws: RPCError(.invalidArguments, "\(cause); valid:\(valid)")) {
      try catalogue.find(service: "s", procedure: "f", arguments: arguments, returns: returns)
    }
  }

  @Test("a list of arguments that are missing is bounded")
  func manyMissing() {
    let signature = Self.signature((0..<20).map { Parameter(.int, name: "a\($0)") })
    let mismatch = OverloadMismatch(arguments: [], returns: nil, overloads: [signature])
    #expect(mismatch.description.hasSuffix("'a7: int' and 12 more"))
  }

  @Test("a service elsewhere is named with its providers")
  func elsewhere() {
    let catalogue = Self.catalogue(Self.named)
    for (service, providers) in [("far", "s2, s3 do"), ("near", "s2 does")] {
      #expect(
        throws: RPCError(
          .serviceNotFound, "this server does not provide the service '\(service)'; \(providers)")
      ) {
        try catalogue.find(service: service, procedure: "f", arguments: [], returns: nil)
      }
    }
  }

  @Test("names are compared by their bytes: the kelvin sign is not a K")
  func bytes() throws {
    var signature = Self.named[0]
    signature.name = "K"
    var kelvin = signature
    kelvin.name = "\u{212a}"
    let catalogue = Self.catalogue([signature])
    #expect(try catalogue.find(service: "s", procedure: "K", arguments: [.string], returns: nil).id == 0)
    #expect(throws: RPCError.self) {
      try catalogue.find(service: "s", procedure: kelvin.name, arguments: [.string], returns: nil)
    }
    #expect(signature != kelvin)
    #expect(QualifiedName("s.K") != QualifiedName("s.\u{212a}"))
    let text = "s.\u{301}f"
    let name = try #require(QualifiedName(text))
    #expect(name.procedure.hasSameUTF8(as: "\u{301}f"))
  }
}
