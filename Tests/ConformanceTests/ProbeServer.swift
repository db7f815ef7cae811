import RPCProcedures
import RPCServer
import RPCWire

/// A server in this process with the procedures that Clients/conformance.json calls.
final class ProbeServer: Sendable {
  private let server: Server
  var port: Int { server.port }

  init(_ configure: (inout ServerOptions) -> Void = { _ in }) throws {
    var options = ServerOptions()
    options.loops = 1
    options.drainTimeoutMilliseconds = 1000
    configure(&options)
    server = try Server(host: "127.0.0.1", port: 0, procedures: Self.procedures, options: options)
    try server.start()
  }

  deinit { server.stopNow() }

  struct DivisionByZero: Error, CustomStringConvertible {
    var description: String { "division by zero" }
  }

  private static let procedures = [
    NativeProcedure("probe.add", idempotent: true) { (a: Int, b: Int) in a &+ b },
    NativeProcedure("probe.add", idempotent: true) { (a: Double, b: Double) in a + b },
    NativeProcedure("probe.add", idempotent: true) { (a: String, b: String) in a + b },
    NativeProcedure("probe.divide") { (a: Int, b: Int) throws -> (Int, Int) in
      guard b != 0 else { throw DivisionByZero() }
      return (a / b, a % b)
    },
    NativeProcedure("probe.nothing") { () -> Void in },
    NativeProcedure("probe.echo") { (value: Value) in value },
    NativeProcedure("probe.float") { (value: Double) in value },
    NativeProcedure("probe.bytes") { (value: Bytes) in value },
    NativeProcedure("probe.ints") { (value: [Int]) in value },
    NativeProcedure("probe.table") { (value: [String: [Double]]) in value },
    NativeProcedure("probe.maybe") { (value: String?) in value },
    NativeProcedure("probe.fill") { (count: Int) in Bytes([UInt8](repeating: 0x5a, count: count)) },
    NativeProcedure(suspending: "probe.sleep") { (milliseconds: Int) async throws -> Int in
      try await Task.sleep(for: .milliseconds(milliseconds))
      return milliseconds
    },
  ]
}
