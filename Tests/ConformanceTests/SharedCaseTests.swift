import Foundation
import RPCClient
import RPCWire
import Testing

/// The table that every client passes: Clients/conformance.json.
struct SharedCase: Sendable, CustomTestStringConvertible {
  let fields: Value
  var testDescription: String { fields["name"]?.stringValue ?? "" }

  static let clients = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Clients")

  static let all: [SharedCase] = {
    guard let text = try? String(contentsOf: clients.appending(path: "conformance.json"), encoding: .utf8),
      let table = try? Value(json: text)
    else { return [] }
    return table["cases"]?.listValue?.map(SharedCase.init) ?? []
  }()

  func types(_ key: String) throws -> [ValueType]? {
    try fields[key]?.listValue?.map { try ValueType(parsing: $0.stringValue ?? "") }
  }

  /// The values of `key`, read by the types of `typesKey`.
  func values(_ key: String, _ typesKey: String) throws -> [Value] {
    let types = try types(typesKey)
    return try (fields[key]?.listValue ?? []).enumerated().map { index, item in
      try (types?[index] ?? .any).value(fromJSON: Self.expand(item))
    }
  }

  /// Writes out what the table abbreviates.
  private static func expand(_ value: Value) -> Value {
    if let count = value["$filled"]?.intValue { return .bytes([UInt8](repeating: 0x5a, count: Int(count))) }
    if let count = value["$text"]?.intValue { return .string(String(repeating: "x", count: Int(count))) }
    return value
  }
}

@Suite("The shared conformance cases")
struct SharedCaseTests {
  static let server = Result { try ProbeServer() }

  private static func client() throws -> RPCClient {
    RPCClient(
      topology: Topology(
        servers: [.init(name: "s", host: "127.0.0.1", port: UInt16(try server.get().port))],
        services: ["probe", "prob"].map { .init(name: $0, providers: ["s"], tenants: []) }))
  }

  @Test("the table is there")
  func table() {
    #expect(SharedCase.all.count > 40)
  }

  @Test("the Swift client passes", arguments: SharedCase.all)
  func swiftClient(shared: SharedCase) async throws {
    let client = try Self.client()
    let procedure = try #require(shared.fields["call"]?.stringValue)
    let arguments = try shared.values("arguments", "types")
    let types = try shared.types("types")
    var options = CallOptions()
    options.deadline = shared.fields["timeout"]?.floatValue.map { .seconds($0) }
    options.retry = .none
    let result: Result<[CallResult], RPCError>
    do {
      if shared.fields["cancel"] == true {
        result = .failure(try await cancelled(client, procedure, arguments))
      } else {
        result = .success(
          try await withThrowingTaskGroup(of: CallResult.self) { [options] group in
            for _ in 0..<(shared.fields["repeat"]?.intValue ?? 1) {
              group.addTask {
                try await client.invoke(procedure, arguments, types: types, on: "s", options: options)
              }
            }
            return try await group.reduce(into: []) { $0.append($1) }
          })
      }
    } catch let error as RPCError {
      result = .failure(error)
    }
    await client.close()
    switch result {
    case .success(let results):
      let wanted = try shared.values("returns", "return-types")
      #expect(shared.fields["error"] == nil)
      // By their bytes, since NaN is not equal to itself.
      #expect(results.allSatisfy { Value.list($0.values).messagePack == Value.list(wanted).messagePack })
    case .failure(let error):
      #expect(error.exception.rawValue == shared.fields["error"]?.stringValue, "\(error)")
      if let executed = shared.fields["executed"]?.stringValue { #expect("\(error.executed)" == executed) }
      if let code = shared.fields["code"]?.intValue { #expect(Int64(error.code.rawValue) == code) }
      if let text = shared.fields["says"]?.stringValue { #expect(error.message.contains(text)) }
    }
  }

  /// Cancels a call that the server has begun: what comes back.
  private func cancelled(_ client: RPCClient, _ procedure: String, _ arguments: [Value]) async throws
    -> RPCError
  {
    let (stream, continuation) = AsyncStream.makeStream(of: Result<CallResult, RPCError>.self)
    let call = client.start(procedure, arguments, on: "s") { continuation.yield($0) }
    // The call was sent before this one.
    _ = try await client.invoke("probe.add", [1, 2], on: "s")
    call.cancel()
    for await result in stream {
      guard case .failure(let error) = result else { break }
      return error
    }
    throw RPCError(.protocolError, "a cancelled call returned")
  }

  @Test("the Python client passes, blocking, with calls side by side and with asyncio")
  func pythonClient() throws {
    try python("tests/conformance.py", "127.0.0.1", String(Self.server.get().port))
  }

  @Test("the Python client reads and writes every vector of the protocol's document")
  func pythonVectors() throws {
    try python("tests/vectors.py")
  }

  private func python(_ program: String, _ arguments: String...) throws {
    let python = Process()
    python.executableURL = URL(filePath: "/usr/bin/env")
    python.arguments =
      ["python3", "-B", SharedCase.clients.appending(path: "python/\(program)").path] + arguments
    let output = Pipe()
    python.standardOutput = output
    python.standardError = output
    try python.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    python.waitUntilExit()
    #expect(python.terminationStatus == 0, "\(text)")
  }
}
