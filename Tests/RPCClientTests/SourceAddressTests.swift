import Glibc
import RPCSystem
import Testing

@testable import RPCClient

@Suite("A client's source address")
struct SourceAddressTests {
  @Test("an address that is taken is told apart from one that this machine does not have")
  func explanation() {
    let source = SourceAddress(Topology.Client(name: "c1", host: "127.0.0.1", port: 6000))
    func explain(_ code: Int32, _ operation: SystemError.Operation) -> String {
      source.explain(SystemError(code: code, operation: operation))
    }
    let isTaken = "the source address 127.0.0.1:6000 is in use (is another program running as 'c1'?)"
    #expect(explain(EADDRINUSE, "bind source address 127.0.0.1:6000") == isTaken)
    // All of a fixed port's connections to one server: the kernel says so only when it connects.
    #expect(explain(EADDRNOTAVAIL, .connect(to: "127.0.0.1:8181")) == isTaken)
    #expect(
      explain(EADDRNOTAVAIL, "bind source address 127.0.0.1:6000")
        == "'c1' is registered with an address that this machine does not have")
  }
}
