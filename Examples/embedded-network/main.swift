import RPCClient
import RPCDeployment

// The servers, and who provides what: as the file says, and again with each change of it.
let client = try await RPCClient(following: InitFileSource("init.yaml"))
let sum: Int = try await client.call("math.add", 20, 22)
print("20 + 22 = \(sum)")
await client.close()
