import Glibc
import RPCNetwork
import RPCSystem
import TestSupport
import Testing

@testable import RPCDeployment

@Suite("An init.yaml that changes")
struct InitFileSourceTests {
  static let right = InitFileErrorTests.valid
  static let moved = right.replacing("port: 8181", with: "port: 8182")

  /// Looks once, and tells the port of the first server, or the first error without the path.
  static func look(_ follower: InitFileFollower) -> String? {
    switch follower.change() {
    case nil: nil
    case .success(let file): "port \(file.network.servers[0].port)"
    case .failure(let errors): errors.diagnostics[0].message
    }
  }

  @Test("each change is told once, what is wrong with it too, and what is put right again")
  func changes() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let path = directory.path + "/init.yaml"
    let follower = InitFileFollower(path)
    #expect(Self.look(follower) == "no such file")
    #expect(Self.look(follower) == nil)
    // Of equal length, within the file system's shortest time: the size tells nothing, and the time may not.
    for (content, said) in [
      (Self.right, "port 8181"), (Self.moved, "port 8182"), (Self.right, "port 8181"),
      ("network: {servers: []}", "'servers' is empty: declare at least one"), (Self.moved, "port 8182"),
    ] {
      try directory.write(content, to: "init.yaml")
      #expect(Self.look(follower) == said)
      #expect(Self.look(follower) == nil)
    }
    #expect(unlink(path) == 0)
    #expect(Self.look(follower) == "no such file")
    #expect(Self.look(follower) == nil)
    try directory.write(Self.moved, to: "init.yaml")
    #expect(Self.look(follower) == "port 8182")
  }

  @Test("a file that replaces another is a change, one that was only touched is none")
  func replaced() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let path = try directory.write(Self.right, to: "init.yaml")
    let follower = InitFileFollower(path)
    #expect(Self.look(follower) == "port 8181")
    let other = try directory.write(Self.moved, to: "other")
    #expect(rename(other, path) == 0)
    #expect(Self.look(follower) == "port 8182")
    #expect(utimes(path, nil) == 0)
    #expect(Self.look(follower) == nil)
  }

  @Test("sources are not needed")
  func withoutSources() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let path = try directory.write(Self.right, to: "init.yaml")
    #expect(throws: InitFileErrors.self) { try InitFile.load(path) }
    #expect(Self.look(InitFileFollower(path)) == "port 8181")
  }

  @Test("a file is read again as long as another write could leave the same times")
  func settled() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let path = try directory.write(Self.right, to: "init.yaml")
    var status = stat()
    #expect(stat(path, &status) == 0)
    for (seconds, isSettled) in [(-5, false), (0, false), (2, false), (3, true)] {
      let stamp = FileStamp(of: path, wallSeconds: status.st_ctim.tv_sec + seconds)
      #expect(stamp.isSettled == isSettled, "\(seconds) s after the change")
    }
    #expect(FileStamp(of: path) == FileStamp(of: path))
    #expect(FileStamp(of: path) != FileStamp(of: directory.path + "/other"))
  }

  @Test("a consumer gets the topology, each change after the interval, and the end when it is cancelled")
  func stream() async throws {
    let directory = TemporaryDirectory(inMemory: true)
    let path = try directory.write(Self.right, to: "init.yaml")
    let clock = StandingClock()
    let source = InitFileSource(path, interval: .seconds(5), clock: clock)
    let (stream, told) = AsyncStream.makeStream(of: TopologyUpdate.self)
    let task = Task { for await update in source.topologies { told.yield(update) } }
    var updates = stream.makeAsyncIterator()
    var sleeps = clock.sleeps.makeAsyncIterator()

    let first = try InitFile.parse(Array(Self.right.utf8), path: path, checkingSources: false).network
    #expect(await updates.next() == .topology(first))
    #expect(await sleeps.next() == .seconds(5))
    try directory.write(Self.moved, to: "init.yaml")
    clock.turn()
    guard case .topology(let second) = await updates.next() else {
      Issue.record("the change was not told")
      return
    }
    #expect(second.servers.map(\.port) == [8182] + first.servers.map(\.port).dropFirst())
    #expect(second.services == first.services)
    // Nothing new: it sleeps again.
    #expect(await sleeps.next() == .seconds(5))
    clock.turn()
    #expect(await sleeps.next() == .seconds(5))
    try directory.write("network: {servers: []}", to: "init.yaml")
    clock.turn()
    guard case .refused(let reason) = await updates.next() else {
      Issue.record("what is wrong was not told")
      return
    }
    #expect(reason.hasPrefix("\(path):1:20: 'servers' is empty: declare at least one"))
    #expect(await sleeps.next() == .seconds(5))
    task.cancel()
    await task.value
  }
}

/// A clock that stands still until it is turned: each turn ends one sleep.
final class StandingClock: Clock {
  let minimumResolution = Duration.zero
  /// How long each sleep is to last, as it begins.
  let sleeps: AsyncStream<Duration>
  private let began: AsyncStream<Duration>.Continuation
  private let turns: AsyncStream<Void>
  private let turning: AsyncStream<Void>.Continuation
  private let start = ContinuousClock.now

  init() {
    (sleeps, began) = AsyncStream.makeStream()
    (turns, turning) = AsyncStream.makeStream()
  }

  var now: ContinuousClock.Instant { start }

  func turn() { turning.yield() }

  func sleep(until deadline: ContinuousClock.Instant, tolerance: Duration?) async throws {
    began.yield(start.duration(to: deadline))
    for await _ in turns { return }
    try Task.checkCancellation()
  }
}
