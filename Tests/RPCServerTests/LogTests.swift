import Glibc
import RPCProcedures
import RPCSystem
import RPCTransport
import RPCWire
import Synchronization
import TestSupport
import Testing

@testable import RPCServer

@Suite("The log")
struct LogTests {
  static func read(_ path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    while case let byte = fgetc(file), byte >= 0 { bytes.append(UInt8(byte)) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// A new one for each log: a caller keeps the text of its line, which belongs to one.
  static func newCaller(port: Int = 6000) -> Caller {
    guard let address = SocketAddress(ip: "127.0.0.1", port: port) else { preconditionFailure() }
    return Caller(peer: address, local: nil)
  }

  static let procedure = bound("add", [Parameter(.int), Parameter(.int)])
  static let other = bound("sub", [Parameter(.int)])

  static func bound(_ name: String, _ parameters: [Parameter]) -> BoundProcedure {
    BoundProcedure(
      id: 1,
      procedure: Procedure(
        signature: Signature(service: "math", name: name, parameters: parameters, returns: [.int]),
        language: .closure),
      implementation: .system(0), service: 0)
  }

  /// Runs `body` on a loop with a log into a file, and returns what was written.
  static func lines(
    _ level: LogOptions.Level = .info, _ format: LogOptions.Format = .human,
    _ body: @escaping @Sendable (LoopLog, EventLoop) -> Void
  ) throws -> [String] {
    let directory = TemporaryDirectory()
    let path = directory.file("log")
    let log = try ServerLog(LogOptions(level: level, format: format, file: path))
    let thread = try LoopThread(name: "log-test") { loop in
      let loopLog = log.loopLog(on: loop)
      body(loopLog, loop)
      loopLog.flush()
    }
    thread.stop()
    thread.join()
    log.close()
    let text = read(path)
    #expect(text.isEmpty || text.hasSuffix("\n"))
    return text.split(separator: "\n").map(String.init)
  }

  /// The lines with their times taken off, which are checked to be times.
  static func withoutTimes(_ lines: [String]) -> [String] {
    lines.map { line in
      let time = line.prefix(24)
      #expect(time.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil, "\(line)")
      return String(line.dropFirst(25))
    }
  }

  private final class Nowhere: ReplySink {
    func end(_ outcome: CallOutcome) {}
  }

  private static func call(by caller: Caller, on loop: EventLoop) -> ServerCall {
    ServerCall(
      id: 1, procedure: procedure, caller: caller, started: loop.now, deadline: nil, arguments: [],
      sink: Nowhere())
  }

  @Test("the server's words, one line each")
  func words() throws {
    let lines = try Self.lines { log, loop in
      let caller = Self.newCaller()
      log.connected(caller)
      log.greeted(caller, dialect: "native")
      log.executed(Self.procedure, by: caller, times: 1)
      let call = Self.call(by: caller, on: loop)
      log.concluded(call, .success([]), by: caller, now: loop.now + 12_345)
      log.concluded(
        call,
        .failure(RPCError(.executionException, "division\nby zero", executed: .yes, source: "add.py:3")),
        by: caller, now: loop.now + 5_000)
      log.failed(Self.procedure, RPCError(.clientNotRegistered, "no tenant"), by: caller)
      log.failed(nil, RPCError(.rpcNotFound, "no 'sub'"), by: caller)
      log.failed(Self.procedure, RPCError(.staleBinding, "bind again"), by: caller)
      log.refusedConnection(caller, RPCError(.protocolError, "garbage \u{1b}[31m"))
      log.disconnected(caller, .peer)
    }
    #expect(
      Self.withoutTimes(lines) == [
        "info    connection from 127.0.0.1:6000",
        "info    127.0.0.1:6000 speaks native",
        "info    127.0.0.1:6000 math.add(int, int) ok",
        "info    127.0.0.1:6000 math.add(int, int) ok 12 us",
        #"warning 127.0.0.1:6000 math.add(int, int) ExecutionException division\nby zero at add.py:3 5 us"#,
        "warning 127.0.0.1:6000 math.add(int, int) refused: ClientNotRegistered no tenant",
        "info    127.0.0.1:6000 RPCNotFound no 'sub'",
        #"warning refused the connection of 127.0.0.1:6000 ProtocolError garbage \u001b[31m"#,
        "info    127.0.0.1:6000 disconnected: closed by the peer",
      ])
  }

  @Test("JSON lines are JSON, with the same in fields")
  func json() throws {
    let lines = try Self.lines(.info, .json) { log, loop in
      let caller = Self.newCaller()
      log.connected(caller)
      let call = Self.call(by: caller, on: loop)
      log.concluded(
        call, .failure(RPCError(.executionException, "a \"b\"", executed: .yes, source: "add.py:3")),
        by: caller, now: loop.now + 5_000)
      log.executed(Self.procedure, by: caller, times: 1)
      log.executed(Self.procedure, by: caller, times: 1)
    }
    let values = try lines.map { try Value(json: $0) }
    #expect(values.allSatisfy { $0["time"]?.stringValue?.utf8.count == 24 })
    let fields = values.map { Value.map($0.mapValue?.filter { $0.key != "time" } ?? []) }
    #expect(
      fields == [
        ["level": "info", "event": "connection", "client": "127.0.0.1:6000"],
        [
          "level": "warning", "event": "call", "client": "127.0.0.1:6000", "procedure": "math.add(int, int)",
          "outcome": "ExecutionException", "message": "a \"b\"", "source": "add.py:3", "us": 5,
        ],
        [
          "level": "info", "event": "call", "client": "127.0.0.1:6000", "procedure": "math.add(int, int)",
          "outcome": "ok", "count": 2,
        ],
      ])
  }

  @Test("a caller's executions of one procedure within a window are one line that says how many")
  func runs() throws {
    let lines = try Self.lines { log, _ in
      let caller = Self.newCaller()
      for _ in 0..<1000 { log.executed(Self.procedure, by: caller, times: 1) }
      let other = Self.newCaller(port: 7000)
      for _ in 0..<2 { log.executed(Self.procedure, by: other, times: 1) }
      log.executed(Self.procedure, by: caller, times: 1)
      log.executed(Self.other, by: caller, times: 1)
      log.executed(Self.procedure, by: caller, times: 1)
    }
    #expect(
      Self.withoutTimes(lines) == [
        "info    127.0.0.1:6000 math.add(int, int) ok 1001 times",
        "info    127.0.0.1:7000 math.add(int, int) ok 2 times",
        "info    127.0.0.1:6000 math.sub(int) ok",
        "info    127.0.0.1:6000 math.add(int, int) ok",
      ])
  }

  @Test("at the level debug each execution is a line")
  func eachByItself() throws {
    let lines = try Self.lines(.debug) { log, _ in
      let caller = Self.newCaller()
      for _ in 0..<3 { log.executed(Self.procedure, by: caller, times: 1) }
    }
    #expect(
      Self.withoutTimes(lines)
        == [String](repeating: "info    127.0.0.1:6000 math.add(int, int) ok", count: 3))
  }

  @Test("what else happens is told after the executions before it, and before those after it")
  func order() throws {
    let lines = try Self.lines { log, _ in
      let caller = Self.newCaller()
      log.executed(Self.procedure, by: caller, times: 1)
      log.connected(Self.newCaller(port: 7000))
      log.executed(Self.procedure, by: caller, times: 1)
      log.executed(Self.procedure, by: caller, times: 1)
    }
    #expect(
      Self.withoutTimes(lines) == [
        "info    127.0.0.1:6000 math.add(int, int) ok", "info    connection from 127.0.0.1:7000",
        "info    127.0.0.1:6000 math.add(int, int) ok 2 times",
      ])
  }

  @Test("executions of many callers at once are all told, in the order of their times")
  func manyCallers() throws {
    let count = LogLimits.runsMax + 10
    let lines = try Self.lines { log, _ in
      for port in 1...count { log.executed(Self.procedure, by: Self.newCaller(port: port), times: 1) }
    }
    #expect(zip(lines, lines.dropFirst()).allSatisfy { $0.prefix(24) <= $1.prefix(24) })
    #expect(
      Self.withoutTimes(lines) == (1...count).map { "info    127.0.0.1:\($0) math.add(int, int) ok" })
  }

  @Test("a window ends by itself: a later execution is a line of its own, with its own time")
  func windows() throws {
    var runs = ExecutionRuns(windowNanoseconds: LogLimits.windowNanoseconds)
    let caller = Self.newCaller()
    let end = 5 + LogLimits.windowNanoseconds
    caller.remember(Self.procedure, [])
    runs.begin(caller, 1, at: 5, began: 100)
    let late = runs.add(Self.procedure, caller, 1, at: end - 1)
    let tooLate = runs.add(Self.procedure, caller, 1, at: end)
    #expect(late && !tooLate)
    #expect(!runs.isOver(at: end - 1) && runs.isOver(at: end))
    #expect(runs.runs.map(\.count) == [2])
    runs.removeAll()
    let afterwards = runs.add(Self.procedure, caller, 1, at: 6)
    #expect(!afterwards, "a run of a window that is over")
    runs.begin(caller, 1, at: end, began: 200)
    #expect(runs.runs.map(\.began) == [200])
  }

  static let perLevel: [(LogOptions.Level, Int)] = [
    (.off, 0), (.error, 0), (.warning, 1), (.info, 3), (.debug, 4),
  ]

  @Test("a level writes itself and what is graver", arguments: perLevel)
  func levels(level: LogOptions.Level, count: Int) throws {
    let lines = try Self.lines(level) { log, _ in
      let caller = Self.newCaller()
      log.connected(caller)
      log.executed(Self.procedure, by: caller, times: 1)
      log.failed(nil, RPCError(.clientNotRegistered, "no"), by: caller)
      log.failed(nil, RPCError(.staleBinding, "bind again"), by: caller)
    }
    #expect(lines.count == count)
  }

  @Test("a long message is cut, and says so")
  func longMessage() throws {
    let limit = LogLimits.messageBytesMax
    let lines = try Self.lines { log, _ in
      let caller = Self.newCaller()
      log.failed(nil, RPCError(.executionException, String(repeating: "x", count: limit)), by: caller)
      log.failed(
        nil, RPCError(.executionException, String(repeating: "x", count: limit + 1)), by: caller)
    }
    #expect(lines[0].hasSuffix(String(repeating: "x", count: limit)))
    #expect(lines[1].hasSuffix("xx… (\(limit + 1) bytes)"))
  }

  @Test("notes through swift-log come out in the same form")
  func notes() throws {
    let directory = TemporaryDirectory()
    let log = try ServerLog(LogOptions(level: .info, format: .human, file: directory.file("log")))
    log.note("listening on [::1]:80")
    log.warn("two\nlines")
    log.fail("gone")
    log.close()
    log.note("after the end")
    #expect(
      Self.withoutTimes(Self.read(directory.file("log")).split(separator: "\n").map(String.init)) == [
        "info    listening on [::1]:80", #"warning two\nlines"#, "error   gone",
      ])
  }

  @Test("after the file was moved away, reopening writes to a new one and loses nothing")
  func reopen() throws {
    let directory = TemporaryDirectory()
    let log = try ServerLog(LogOptions(level: .info, file: directory.file("log")))
    log.note("before")
    log.synchronize()
    rename(directory.file("log"), directory.file("old"))
    log.note("between")
    log.reopen()
    log.synchronize()
    log.note("after")
    log.close()
    #expect(Self.read(directory.file("old")).split(separator: "\n").count == 2)
    #expect(Self.read(directory.file("log")).hasSuffix("info    after\n"))
  }

  @Test("a log file that cannot be opened is an error that names it")
  func unopenable() {
    #expect(throws: SystemError(code: ENOENT, operation: .open("the log file '/nowhere/log'"))) {
      try ServerLog(LogOptions(level: .info, file: "/nowhere/log"))
    }
  }

  @Test(
    "times are written as ISO 8601 has them",
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"),
      (951_782_400_000, "2000-02-29T00:00:00.000Z"), (951_868_800_001, "2000-03-01T00:00:00.001Z"),
      (1_709_251_199_000, "2024-02-29T23:59:59.000Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
      (1_767_225_599_500, "2025-12-31T23:59:59.500Z"),
      // A clock that was never set.
      (-1, "1969-12-31T23:59:59.999Z"), (-1000, "1969-12-31T23:59:59.000Z"),
      (-86_400_001, "1969-12-30T23:59:59.999Z"), (-9_214_560_000_000, "1678-01-01T00:00:00.000Z"),
    ] as [(Int64, String)])
  func timestamps(milliseconds: Int64, text: String) {
    var timestamp = LogTimestamp()
    timestamp.update(milliseconds * 1_000_000)
    #expect(String(decoding: timestamp.text, as: UTF8.self) == text)
  }
}
