import RPCClient

let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 9090
let client = RPCClient(topology: Topology(servers: [.init(name: "s1", host: "127.0.0.1", port: port)]))
let sum: Int = try await client.call("math.add", 20, 22, on: "s1")
print("20 + 22 = \(sum)")
await client.close()
