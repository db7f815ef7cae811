import Foundation
import RPCWire
import TestSupport
import Testing

/// The base format, as a file that was not written for these tests: loaded, distributed and called.
@Suite("The base format")
struct BaseFormatTests {
  /// The fixture as it stands, but for its ports, which must be free.
  private func network() throws -> Network {
    let network = try Network(["s1", "s2"], clients: ["c1", "c2"])
    let fixture = "\(Programs.fixtures)/base"
    var text = String(
      decoding: try Data(contentsOf: URL(fileURLWithPath: "\(fixture)/init.yaml")), as: UTF8.self)
    for (port, ours) in [
      ("8181", network.ports["s1"]), ("8282", network.ports["s2"]), ("6000", network.clientPorts["c1"]),
      ("6001", network.clientPorts["c2"]),
    ] {
      text = text.replacingOccurrences(of: "port: \(port)", with: "port: \(ours ?? 0)")
    }
    try network.directory.write(text, to: "init.yaml")
    try FileManager.default.copyItem(
      atPath: "\(fixture)/services", toPath: "\(network.directory.path)/services")
    return network
  }

  @Test("it loads, distributes and answers, from sources with brackets, quotes and spaces in their paths")
  func answers() throws {
    let network = try network()
    try network.deploy()
    for server in ["s1", "s2"] {
      let caller = try network.lines(server, as: "c1")
      // As people write it: words, told apart by what they can be.
      #expect(try caller.call("service1.rpc1", #"["32","hello"]"#) == .values(["32hello"]))
      #expect(
        try caller.call("service1.rpc1", #"["32","33"]"#, more: #","argument-types":["int","int"]"#)
          == .values([65]))
      #expect(try caller.call("service1.rpc1", #"[32,33]"#) == .values([65]))
      #expect(
        try caller.call("service1.rpc1", #"["32","33"]"#, more: #","argument-types":["int","str"]"#)
          == .values(["3233"]))
      #expect(try caller.call("service1.rpc2", #"[[1,2],["a","b"]]"#) == .values(["1a 2b"]))
    }
    let second = try network.lines("s2", as: "c2")
    #expect(try second.call("service2.rpc3", "[2,[1,2.5]]") == .values(["2.0, 5.0"]))
  }

  @Test("tenants are told by their registered address and port")
  func tenants() throws {
    let network = try network()
    try network.deploy()
    let stranger = try network.lines("s1").call("service1.rpc1", "[1,2]")
    #expect(stranger.exceptionType == "ClientNotRegistered", "\(stranger)")
    let other = try network.lines("s2", as: "c1").call("service2.rpc3", "[2,[1]]")
    #expect(other.exceptionType == "ClientNotRegistered", "\(other)")
    #expect(other.exceptionMessage?.contains("service2") == true)
    #expect(try network.lines("s2", as: "c2").call("service2.rpc3", "[2,[1]]") == .values(["2.0"]))
    let elsewhere = try network.lines("s1", as: "c2").call("service2.rpc3", "[2,[1]]")
    #expect(elsewhere.exceptionType == "ServiceNotFound", "\(elsewhere)")
  }
}
