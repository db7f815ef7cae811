import Glibc
import RPCClient
import RPCProcedures
import RPCWire
import Testing

@testable import RPCDeployment

@Suite("A deployment over all servers")
struct DeployerTests {
  typealias Outcome = DeploymentReport.Outcome

  @Test("gives every server what the file says and tells what was sent")
  func everything() async throws {
    let network = try FakeNetwork()
    let report = await network.deployer().run()
    #expect(report.servers.map(\.outcome) == [.deployed(generation: 1), .deployed(generation: 1)])
    #expect(report.succeeded)
    #expect(report.servers.map(\.sentSources) == [2, 2])
    let bytes = Samples.sourceA.count + Samples.sourceB.count
    #expect(report.servers.map(\.sentBytes) == [bytes, bytes])
    #expect(await network.s1.manifest == FakeNetwork.manifest("s1", FakeNetwork.first))
    #expect(await network.s2.manifest == FakeNetwork.manifest("s2", FakeNetwork.first))
  }

  @Test("sends nothing at all the second time")
  func again() async throws {
    let network = try FakeNetwork()
    _ = await network.deployer().run()
    await network.s1.clearSteps()
    let report = await network.deployer().run()
    #expect(report.servers.map(\.outcome) == [.upToDate, .upToDate])
    #expect(report.succeeded)
    #expect(await network.s1.steps == [.status, .catalogue])
    #expect(await network.s1.serial == 1)
  }

  @Test("sends only the source that changed, and removes what is gone")
  func change() async throws {
    let network = try FakeNetwork()
    _ = await network.deployer().run()
    let changed = Array("def concat(n, s): return 'new'".utf8)
    let report = await network.deployer([("concat", changed)]).run()
    #expect(report.servers.map(\.sentSources) == [1, 1])
    #expect(report.servers[0].sentBytes == changed.count)
    #expect(report.servers[0].plan?.changed.map(\.new.signature.name) == ["concat"])
    #expect(report.servers[0].plan?.removed.map(\.signature.name) == ["add"])
    #expect(await network.s2.manifest?.procedures.count == 1)
    let emptied = await network.deployer([]).run()
    #expect(emptied.servers.map(\.outcome) == [.deployed(generation: 3), .deployed(generation: 3)])
    #expect(await network.s1.manifest?.procedures.isEmpty == true)
  }

  /// Steps before the switch, and each way to fail.
  static let failures: [(FakePeer.Step, FakePeer.Fault)] = [
    .status, .catalogue, .begin, .put, .prepare,
  ].flatMap { step in [(step, .unreachable), (step, .answerLost), (step, .refused)] }

  @Test("if one server cannot, none switches, and the next run succeeds", arguments: failures.indices)
  func allOrNothing(index: Int) async throws {
    let (step, fault) = Self.failures[index]
    for failing in ["s1", "s2"] {
      let network = try FakeNetwork()
      let bad = failing == "s1" ? network.s1 : network.s2
      await bad.fail(step, fault)
      let report = await network.deployer().run()
      #expect(!report.succeeded)
      #expect(report.failures.map(\.server.name) == [failing], "\(step) \(fault)")
      let other = try #require(report.servers.first { $0.server.name != failing })
      #expect(other.outcome == .leftAlone)
      #expect(await network.s1.manifest == nil)
      #expect(await network.s2.manifest == nil)
      // Nobody is left with a lock, not even where an answer was lost.
      #expect(await network.s1.isLocked == false)
      #expect(await network.s2.isLocked == false)
      await bad.heal()
      #expect(await network.deployer().run().succeeded)
      #expect(await network.s2.serial == 1)
    }
  }

  @Test("a server whose disk fails refuses, with the cause, and is not asked to repeat what it gave up")
  func failingDisk() async throws {
    let network = try FakeNetwork()
    await network.s2.failDisk(ENOSPC)
    let report = await network.deployer().run()
    guard case .refused(let error) = report.servers[1].outcome else {
      Issue.record("s2 did not refuse: \(report.servers[1].outcome)")
      return
    }
    #expect(error.message.contains("No space left on device"), "\(error)")
    #expect(report.servers[0].outcome == .leftAlone)
    await network.s2.failDisk(0)
    #expect(await network.deployer().run().succeeded)
  }

  @Test("a lost answer to the commit is asked for again")
  func lostCommit() async throws {
    let network = try FakeNetwork()
    await network.s2.fail(.commit, .answerLost, count: 2)
    let report = await network.deployer().run()
    #expect(report.servers.map(\.outcome) == [.deployed(generation: 1), .deployed(generation: 1)])
    #expect(await network.s2.steps.filter { $0 == .commit }.count == 3)
  }

  @Test("a server that does not confirm is named, and the next run gives it what it lacks")
  func unconfirmed() async throws {
    let network = try FakeNetwork()
    await network.s2.fail(.commit, .unreachable)
    let report = await network.deployer { $0.commitAttempts = 3 }.run()
    #expect(report.servers[0].outcome == .deployed(generation: 1))
    guard case .unconfirmed = report.servers[1].outcome else {
      Issue.record("\(report.servers[1].outcome)")
      return
    }
    #expect(!report.succeeded)
    #expect(DeploymentText(report).text.contains("Not every server switched (s2). Run it again"))
    await network.s2.heal()
    // The lock of the run that was lost ends by itself; here its time has not come.
    let blocked = await network.deployer().run()
    guard case .refused(let error) = blocked.servers[1].outcome else {
      Issue.record("\(blocked.servers[1].outcome)")
      return
    }
    #expect(error.message.contains("is deploying"))
    #expect(blocked.servers[0].outcome == .upToDate)
  }

  @Test("a plan that another deployment overtook is refused and changes nothing")
  func overtaken() async throws {
    let network = try FakeNetwork()
    let s2 = network.s2
    // Between the plan and the begin of the slower run, somebody else deploys to s2.
    await network.s1.before(.begin) {
      guard await s2.manifest == nil else { return }
      try? await s2.beginOther("other", FakeNetwork.manifest("s2", []))
      _ = try? await s2.prepare("other")
      _ = try? await s2.commit("other")
    }
    let report = await network.deployer().run()
    guard case .refused(let error) = report.servers[1].outcome else {
      Issue.record("\(report.servers[1].outcome)")
      return
    }
    #expect(error.message.contains("plan again"))
    #expect(report.servers[0].outcome == .leftAlone)
    #expect(await network.s1.manifest == nil)
    #expect(await network.deployer().run().succeeded)
  }

  @Test("servers that are ready are kept while another still loads")
  func heartbeat() async throws {
    let network = try FakeNetwork()
    let s1 = network.s1
    await network.s2.before(.prepare) {
      // Goes on once the first server has been given two signs of life.
      while await s1.steps.filter({ $0 == .prepare }).count < 3, !Task.isCancelled { await Task.yield() }
    }
    #expect(await network.deployer().run().succeeded)
  }

  @Test("interrupted before the switch it leaves everything as it was")
  func cancelled() async throws {
    let network = try FakeNetwork()
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    await network.s2.before(.prepare) {
      continuation.yield()
      while !Task.isCancelled { await Task.yield() }
    }
    let deployer = network.deployer()
    let run = Task { await deployer.run() }
    for await _ in stream { break }
    run.cancel()
    let report = await run.value
    #expect(report.servers.map(\.outcome) == [.leftAlone, .leftAlone])
    #expect(DeploymentText(report).text.hasSuffix("Nothing was changed on any server: interrupted.\n"))
    #expect(await network.s1.manifest == nil)
    #expect(await network.s1.isLocked == false)
    #expect(await network.s2.isLocked == false)
  }

  @Test("a comparison asks and changes nothing")
  func comparison() async throws {
    let network = try FakeNetwork()
    let report = await network.deployer { $0.mode = .compare }.run()
    #expect(report.servers.map(\.outcome) == [.planned, .planned])
    #expect(report.succeeded)
    #expect(await network.s1.steps == [.status, .catalogue])
  }

  @Test("a dry run prepares on every server and undoes it")
  func rehearsal() async throws {
    let network = try FakeNetwork()
    let report = await network.deployer { $0.mode = .rehearse }.run()
    #expect(report.servers.map(\.outcome) == [.planned, .planned])
    #expect(report.succeeded)
    for peer in [network.s1, network.s2] {
      // One that is ready hears further calls of prepare, as signs of life, while the other is not.
      var steps: [FakePeer.Step] = []
      for step in await peer.steps where step != .prepare || steps.last != .prepare { steps.append(step) }
      #expect(steps == [.status, .catalogue, .begin, .put, .put, .prepare, .abort])
      #expect(await peer.manifest == nil)
      #expect(await peer.isLocked == false)
      // Nothing stays behind either: the next run sends the same again.
      #expect(try await peer.objects() == [])
    }
  }

  static let failure = LoadFailure(
    digest: ContentDigest.hex(of: Samples.sourceA), sourceName: "concat.py",
    procedures: ["text.concat(int) -> str"], message: "invalid syntax", place: "concat.py:1")

  @Test("a dry run finds what each server refuses, and leaves none of them locked")
  func rehearsalFindsAll() async throws {
    let network = try FakeNetwork()
    await network.s1.failLoading([Self.failure])
    await network.s2.fail(.begin, .refused)
    let report = await network.deployer { $0.mode = .rehearse }.run()
    #expect(report.failures.map(\.server.name) == ["s1", "s2"])
    #expect(report.servers[0].loadFailures == [Self.failure])
    #expect(await network.s1.isLocked == false)
    #expect(await network.s2.isLocked == false)
  }

  @Test("a changed address reaches every server without a new generation, and is then up to date")
  func addresses() async throws {
    let network = try FakeNetwork()
    #expect(await network.deployer().run().succeeded)
    await network.s1.clearSteps()
    let moved = Samples.topology(port: 9)
    let report = await network.deployer(topology: moved).run()
    #expect(report.servers.map(\.outcome) == [.deployed(generation: 1), .deployed(generation: 1)])
    #expect(report.servers.allSatisfy { $0.plan?.isTopologyOnly == true && $0.sentSources == 0 })
    #expect(
      DeploymentText(report).text == """
        s1, s2  addresses and keys in force, generation 1 stays
          the addresses or keys of servers or clients changed
          = 2 procedures unchanged
        no procedure changed on 2 servers: deployment \(report.deployment?.id ?? ""), serial 2.

        """)
    for peer in [network.s1, network.s2] {
      #expect(await peer.topology?.serial == 2)
      #expect(await peer.serial == 1)
    }
    let again = await network.deployer(topology: moved).run()
    #expect(again.servers.allSatisfy { $0.outcome == .upToDate })
    // Where one server cannot prepare, none switches.
    await network.s2.fail(.prepare, .refused)
    #expect(await network.deployer().run().succeeded == false)
    #expect(await network.s1.topology?.serial == 2)
  }

  @Test("a dry run, even forced, does not end the deployment of another")
  func rehearsalEndsNobody() async throws {
    let network = try FakeNetwork()
    try await network.s2.beginOther("other", FakeNetwork.manifest("s2", []))
    let report = await network.deployer {
      $0.mode = .rehearse
      $0.force = true
    }.run()
    #expect(report.failures.map(\.server.name) == ["s2"])
    #expect(await network.s2.isLocked)
  }

  @Test("forced, it ends the deployment of another")
  func forceBreaksLocks() async throws {
    let network = try FakeNetwork()
    try await network.s2.beginOther("other", FakeNetwork.manifest("s2", []))
    #expect(await network.deployer().run().succeeded == false)
    #expect(await network.deployer { $0.force = true }.run().succeeded)
  }

  @Test("a source that a server cannot load is refused, and no server switches")
  func loadFailure() async throws {
    let network = try FakeNetwork()
    await network.s2.failLoading([Self.failure])
    let report = await network.deployer().run()
    #expect(report.failures.map(\.server.name) == ["s2"])
    #expect(report.servers[1].loadFailures == [Self.failure])
    #expect(await network.s1.manifest == nil)
    #expect(
      DeploymentText(report).text.contains("concat.py:1: invalid syntax (text.concat(int) -> str) on s2"))
    await network.s2.heal()
    #expect(await network.deployer().run().succeeded)
  }

  @Test("a commit that was lost with its connection is readied again, and everybody switches")
  func lostConnection() async throws {
    let network = try FakeNetwork()
    let s2 = network.s2
    await s2.fail(.commit, .unreachable, count: 1)
    await s2.before(.commit) { await s2.endConnection() }
    let report = await network.deployer().run()
    // Each commit finds its deployment ended, so the run gives up in the end…
    #expect(report.failures.map(\.server.name) == ["s2"])
    await s2.before(.commit) {}
    await s2.fail(.commit, .unreachable, count: 1)
    await network.s1.fail(.commit, .answerLost, count: 1)
    let changed = Array("def concat(n, s): return 'new'".utf8)
    // …but where only one was lost, it goes through.
    await s2.before(.commit) {
      guard await s2.steps.filter({ $0 == .unlock }).isEmpty else { return }
      _ = try? await s2.unlock(who: "the end of the connection")
    }
    await s2.clearSteps()
    let again = await network.deployer([("concat", changed)]).run()
    #expect(again.succeeded, "\(DeploymentText(again).text)")
    #expect(await s2.manifest == FakeNetwork.manifest("s2", [("concat", changed)]))
  }

  @Test("forced, it deploys what is there already, without sending it")
  func force() async throws {
    let network = try FakeNetwork()
    _ = await network.deployer().run()
    let report = await network.deployer { $0.force = true }.run()
    #expect(report.servers.map(\.outcome) == [.deployed(generation: 2), .deployed(generation: 2)])
    #expect(report.servers.map(\.sentSources) == [0, 0])
  }

  @Test("a source of several chunks arrives whole", arguments: [0, -1, 1])
  func chunks(offset: Int) async throws {
    let network = try FakeNetwork()
    let source = [UInt8](repeating: 0x20, count: 2 * DeploymentLimits.chunkBytesMax + offset)
    #expect(await network.deployer([("concat", source)]).run().succeeded)
    #expect(await network.s1.steps.filter { $0 == .put }.count == (offset > 0 ? 3 : 2))
  }

  @Test("an empty source is sent too")
  func emptySource() async throws {
    let network = try FakeNetwork()
    #expect(await network.deployer([("concat", [])]).run().succeeded)
  }
}
