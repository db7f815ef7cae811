import RPCServer
import RPCServiceLifecycle
import ServiceLifecycle
import UnixSignals

let add = NativeProcedure("math.add") { (a: Int, b: Int) in a + b }
let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 9090
let server = try Server(host: "127.0.0.1", port: port, procedures: [add])
// On SIGTERM the group shuts its services down, this one by draining.
try await ServiceGroup(services: [ServerService(server)], gracefulShutdownSignals: [.sigterm]).run()
