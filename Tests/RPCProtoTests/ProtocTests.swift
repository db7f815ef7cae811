import Foundation
import RPCProcedures
import RPCProto
import RPCWire
import SwiftProtobuf
import TestSupport
import Testing

/// What protoc makes of the files is what reflection tells.
@Suite("protoc")
struct ProtocTests {
  /// Compiles files of a directory; returns their descriptors by name.
  static func compile(
    _ directory: String, _ files: [String]
  ) throws -> [String: Google_Protobuf_FileDescriptorProto] {
    let output = "\(directory)/set.bin"
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/protoc")
    process.arguments = ["-I", directory, "-I", "/usr/include", "--descriptor_set_out=\(output)"] + files
    let pipe = Pipe()
    process.standardError = pipe
    do {
      try process.run()
    } catch {
      Issue.record("protoc cannot be run (\(error)): run Scripts/setup --tests, which installs it")
      throw error
    }
    let errors = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(String(decoding: errors, as: UTF8.self))")
    let set = try Google_Protobuf_FileDescriptorSet(
      serializedBytes: try Data(contentsOf: URL(filePath: output)))
    return Dictionary(uniqueKeysWithValues: set.file.map { ($0.name, $0) })
  }

  static func procedure(
    _ name: String, _ parameters: [Parameter], _ returns: [ValueType],
    _ change: (inout Procedure) -> Void = { _ in }
  ) -> Procedure {
    var procedure = Procedure(
      signature: Signature(service: "odd-one", name: name, parameters: parameters, returns: returns),
      language: .lua)
    change(&procedure)
    return procedure
  }

  private static let everything: [Procedure] = [
    procedure("add", [Parameter(.int, name: "a"), Parameter(.int, name: "b")], [.int]) {
      $0.documentation = "Adds.\nTwo lines, \u{7} and a bell."
      $0.idempotent = true
    },
    procedure("concat", [Parameter(.int), Parameter(.string)], [.string]),
    procedure("concat", [Parameter(.list(.string))], [.string]) { $0.grpc.overload = 1 },
    procedure("no-args", [], []),
    procedure("renamed", [Parameter(.bool, name: "user_id")], [.none]) { $0.grpc.method = "other_name" },
    procedure("pinned", [Parameter(.int, name: "a"), Parameter(.int, name: "b")], [.float, .bytes]) {
      $0.grpc.argumentFields = [0, 7]
      $0.grpc.returnFields = [3, 1]
    },
    procedure(
      "nested",
      [
        Parameter(.list(.list(.int)), name: "lists"), Parameter(.dict(.optional(.string)), name: "some_map"),
        Parameter(.optional(.dict(.bytes)), name: "maybe"), Parameter(.optional(.bool), name: "flag"),
        Parameter(.optional(.bool), name: "_flag2"), Parameter(.any, name: "any"),
        Parameter(.list(.any), name: "anys"),
        Parameter(.dict(.any), name: "structure"), Parameter(.list(.none), name: "nothings"),
        Parameter(.optional(.optional(.int)), name: "twice"), Parameter(.string, name: "message"),
      ], [.dict(.dict(.list(.optional(.float))))]),
  ]

  @Test("the files compile, and their descriptors are equal to reflection's")
  func equal() throws {
    let service = ProtoService(service: "odd-one", procedures: Self.everything)
    #expect(service.problems == [])
    #expect(
      service.methods.map(\.name) == [
        "add", "concat", "concat__int_str", "concat__list_str", "nested", "no_args", "other_name", "pinned",
      ])
    let directory = TemporaryDirectory()
    let files = ProtoFiles(of: service)
    for (name, text) in files.texts() { try directory.write(text, to: name) }
    let compiled = try Self.compile(directory.path, files.texts().map(\.name))
    for file in files.descriptors() {
      let own = try Google_Protobuf_FileDescriptorProto(serializedBytes: file.descriptor)
      let theirs = try #require(compiled[file.name])
      #expect(own == theirs, "\(own.textFormatString()) is not \(theirs.textFormatString())")
    }
  }

  @Test("the files that every server has are those of the schemas")
  func wellKnown() throws {
    let schemas =
      "\(#filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/"))/Sources/RPCProto/Schemas"
    let directory = TemporaryDirectory()
    for name in ["health", "reflection"] {
      let path = "grpc/\(name)/v1"
      try FileManager.default.createDirectory(atPath: directory.file(path), withIntermediateDirectories: true)
      try FileManager.default.copyItem(
        atPath: "\(schemas)/\(path)/\(name).proto", toPath: directory.file("\(path)/\(name).proto"))
    }
    let names = [
      "grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto", "google/protobuf/struct.proto",
    ]
    let compiled = try Self.compile(directory.path, names)
    for file in WellKnownProto.files where names.contains(file.name) {
      #expect(
        try Google_Protobuf_FileDescriptorProto(serializedBytes: file.descriptor) == compiled[file.name])
    }
    #expect(WellKnownProto.files.count == names.count + 1)
  }

  @Test(
    "what cannot be told apart is refused",
    arguments: [
      ([procedure("get-item", [], []), procedure("get_item", [], [])], "messages of the same name"),
      ([procedure("getItem", [], []), procedure("get_item", [], [])], "messages of the same name"),
      (
        [procedure("f", [Parameter(.int, name: "a_b"), Parameter(.int, name: "aB")], [])], "the same in some"
      ),
      ([procedure("f", [Parameter(.int, name: "arg2"), Parameter(.int)], [])], "the same in some"),
      (
        [procedure("f", [Parameter(.int), Parameter(.int)], []) { $0.grpc.argumentFields = [2, 0] }],
        "same field number"
      ),
      ([procedure("f", [Parameter(.int)], []) { $0.grpc.argumentFields = [19_500] }], "keeps for itself"),
      (
        [procedure("f", [], []), procedure("g", [], []) { $0.grpc.method = "f" }], "messages of the same name"
      ),
    ] as [([Procedure], String)])
  func problems(_ procedures: [Procedure], _ words: String) {
    let service = ProtoService(service: "s", procedures: procedures)
    #expect(service.problems.count == 1)
    #expect(service.problems.first?.message.contains(words) == true, "\(service.problems)")
  }

  @Test("names of services that collide, or are others' packages, are refused")
  func services() {
    #expect(ProtoService.problems(withServices: ["math", "text", "my-service"]) == [])
    for names in [["a-b", "a_b"], ["aB", "a_b"], ["google"], ["grpc"], ["math", "math_types"]] {
      #expect(ProtoService.problems(withServices: names).count == 1, "\(names)")
    }
  }
}
