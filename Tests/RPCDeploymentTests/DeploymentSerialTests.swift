import RPCNetwork
import RPCWire
import Testing

@testable import RPCDeployment

@Suite("The deployment that all servers get")
struct DeploymentSerialTests {
  @Test("every server gets the same deployment, with a serial above all that any of them has seen")
  func serials() async throws {
    let network = try FakeNetwork()
    let witness = try FakePeer()
    #expect(await network.deployer().run().succeeded)
    #expect(await network.s1.deployment == network.s2.deployment)
    #expect(await network.s1.deployment?.serial == 1)
    // Another server of the network is further, one does not answer, one has lost its data directory.
    for number in 1...4 { try await witness.deployOther("w\(number)", FakeNetwork.manifest("s1", [])) }
    let silent = try FakePeer()
    await silent.fail(.status, .unreachable)
    let lost = try FakeNetwork(network.s1, FakePeer())
    let report = await lost.deployer([("concat", Samples.sourceA)], witnesses: [witness, silent]).run()
    #expect(report.succeeded)
    #expect(report.deployment?.serial == 5)
    #expect(await lost.s1.deployment == lost.s2.deployment)
    #expect(await lost.s2.deployment?.serial == 5)
    // The same content has the same id, whenever it is deployed.
    let back = await lost.deployer().run()
    #expect(back.deployment?.serial == 6)
    #expect(await lost.s1.deployment?.id != report.deployment?.id)
    let again = try FakeNetwork()
    #expect(await again.deployer().run().deployment?.id == back.deployment?.id)
  }

  @Test("a dry run uses up no serial, and what it was signed for cannot be put in force")
  func rehearsalIsSigned() async throws {
    let network = try FakeNetwork()
    let report = await network.deployer { $0.mode = .rehearse }.run()
    #expect(report.deployment?.isRehearsal == true)
    #expect(await network.deployer().run().deployment?.serial == 1)
  }

  @Test(
    "a server that says it is far ahead uses up no numbers of the others: nothing is deployed, until it is forced",
    arguments: [DeploymentLimits.serialMax, DeploymentLimits.serialMax - 1, 1_000_002])
  func liar(claim: Int) async throws {
    let network = try FakeNetwork()
    #expect(await network.deployer().run().succeeded)
    await network.s2.claim(claim)
    let next = [("concat", Samples.sourceA)]
    let report = await network.deployer(next).run()
    #expect(report.failures.map(\.server.name) == ["s2"])
    #expect("\(report.failures)".contains("has seen the serial \(claim), far above the 1 of the others"))
    #expect(await network.s1.deployment?.serial == 1)
    // Somebody who is only asked holds nobody up.
    let honest = try FakeNetwork(network.s1, FakePeer())
    #expect(await honest.deployer(next, witnesses: [network.s2]).run().deployment?.serial == 2)
    guard claim < DeploymentLimits.serialMax else {
      #expect(await !network.deployer(next) { $0.force = true }.run().succeeded)
      return
    }
    #expect(await network.deployer(next) { $0.force = true }.run().deployment?.serial == claim + 1)
  }

  @Test("what is said of serials is believed up to a million above what others say")
  func believed() {
    func highest(_ said: [Int], _ isForced: Bool = false) -> Int {
      Deployer.highestSerial(of: said, isForced: isForced)
    }
    #expect(highest([]) == 0)
    #expect(highest([0, -7, .min]) == 0)
    #expect(highest([1_000_005, 0, 5]) == 1_000_005)
    #expect(highest([1_000_006, 0, 5]) == 5)
    #expect(highest([1_000_006, 0, 5], true) == 1_000_006)
    #expect(highest([.max, DeploymentLimits.serialMax, 3], true) == 3)
    // A server by itself harms itself alone.
    #expect(highest([0, 1 << 50]) == 1 << 50)
  }

  @Test("without a key nothing is deployed")
  func keyless() async throws {
    let network = try FakeNetwork()
    let report = await network.deployer { $0.key = nil }.run()
    #expect(report.failures.count == 2)
    #expect(await network.s1.manifest == nil)
  }
}
