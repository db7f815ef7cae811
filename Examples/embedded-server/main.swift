import RPCServer

// A Swift closure is a procedure: its types are the procedure's types.
let add = NativeProcedure("math.add") { (a: Int, b: Int) in a + b }
let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 9090
let server = try Server(host: "127.0.0.1", port: port, procedures: [add])
try server.start()
print("listening on \(server.localAddress)")
server.waitUntilStopped()
