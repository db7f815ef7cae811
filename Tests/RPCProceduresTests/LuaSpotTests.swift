import RPCProcedures
import RPCTransport
import RPCWire
import TestSupport
import Testing

@Suite("Lua calls where they are read")
struct LuaSpotTests {
  private static let valueCases: [(String, [Value])] = [
    ("int", [0]), ("int", [127]), ("int", [-32]), ("int", [-33]), ("int", [128]), ("int", [-129]),
    ("int", [255]),
    ("int", [256]), ("int", [65535]), ("int", [65536]), ("int", [-32769]), ("int", [.int(4_294_967_296)]),
    ("int", [.int(.max)]), ("int", [.int(.min)]), ("float", [1.5]), ("float", [.float(-0.0)]),
    ("float", [.float(.infinity)]), ("bool", [true]), ("bool", [false]), ("None", [nil]), ("str", [""]),
    ("str", ["a\u{0}b é \u{10FFFF}"]), ("str", [.string(String(repeating: "x", count: 31))]),
    ("str", [.string(String(repeating: "é", count: 40_000))]), ("bytes", [.bytes([])]),
    ("bytes", [.bytes([0, 255, 128])]), ("bytes", [.bytes(Array(repeating: 200, count: 60_000))]),
    ("Optional[int]", [nil]), ("Optional[int]", [3]), ("Optional[Optional[str]]", ["x"]),
    ("List[int]", [[1, 2]]),
    ("Dict[str, int]", [["a": 1]]), ("Any", [1]), ("Any", ["x"]), ("Any", [[1, nil, "x"]]),
    ("Optional[List[str]]", [["a"]]),
  ]

  @Test("values survive, as they do on the longer way", arguments: valueCases)
  func values(_ type: String, _ values: [Value]) async throws {
    try await withLua { lua in
      let unit = SourceUnit.make("same(\(type)) -> \(type)", .lua, "function same(a) return a end")
      #expect(try await lua.call(unit, values) == values)
      for _ in 0..<3 {
        let spot = try await lua.spot(unit, values)
        #expect(spot.way == .done)
        #expect(try spot.values() == values)
      }
    }
  }

  /// Types, and bytes that are no list of arguments of those types.
  private static let wrongCases: [(String, [UInt8])] = [
    ("int", []), ("int", [0x90]), ("int", [0x92, 1, 2]), ("int", [0x91]), ("int", [0x91, 1, 2]),
    ("int", [0x91, 0xcd, 1]),
    ("int", [0x91, 0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0]), ("int", [0x91, 0xc3]), ("int", [0x91, 0xa1, 0x61]),
    ("int", [0x91, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0]), ("int", [0x91, 0xc0]), ("int", [0xc1]),
    ("int", [0x91, 0xc1]),
    ("float", [0x91, 0xcb, 0, 0]), ("float", [0x91, 0xca, 0, 0, 0]), ("float", [0x91, 0xa0]),
    ("str", [0x91, 0xa2, 0x61]), ("str", [0x91, 0xa1, 0xff]), ("str", [0x91, 0xd9]),
    ("str", [0x91, 0xd9, 3, 0x61]),
    ("str", [0x91, 0xc4, 1, 0x61]), ("str", [0x91, 0xdb, 0xff, 0xff, 0xff, 0xff]),
    ("bytes", [0x91, 0xa1, 0x61]),
    ("bytes", [0x91, 0xc6, 0, 0, 0, 9, 1]), ("bool", [0x91, 1]), ("None", [0x91, 1]),
    ("Optional[int]", [0x91, 0xc3]),
    ("List[int]", [0x91, 0x91, 0xc3]), ("List[int]", [0x91, 0xdd, 0xff, 0xff, 0xff, 0xff]),
    ("Any", [0x91, 0xc1]),
    ("Dict[str, int]", [0x91, 0x81, 1, 1]),
  ]

  @Test("arguments of other types run nothing and leave nothing", arguments: wrongCases)
  func wrong(_ type: String, _ bytes: [UInt8]) async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "count(\(type)) -> int", .lua, "n = 0 function count(a) n = n + 1 return n end")
      let right: [String: Value] = [
        "int": 1, "float": 1.0, "str": "x", "bytes": .bytes([1]), "bool": true, "List[int]": [],
        "Dict[str, int]": .map([]),
      ]
      let argument = right[type] ?? .null
      #expect(try await lua.call(unit, [argument]) == [1])
      let spot = try await lua.spot(unit, encoded: bytes)
      #expect(spot.way == .notRun)
      #expect(spot.output == [])
      #expect(try await lua.spot(unit, [argument]).values() == [2])
    }
  }

  @Test("many arguments and results take the way of lists")
  func many() async throws {
    try await withLua { lua in
      let types = Array(repeating: "int", count: 20).joined(separator: ", ")
      let unit = SourceUnit.make("same(\(types)) -> (\(types))", .lua, "function same(...) return ... end")
      let values = (0..<20).map { Value.int(Int64($0)) }
      try await lua.prepare(unit)
      #expect(try await lua.call(unit, values) == values)
      #expect(try await lua.spot(unit, values).way == .notRun)
      let fifteen = Array(repeating: "int", count: 15).joined(separator: ", ")
      let fewer = SourceUnit.make(
        "same(\(fifteen)) -> (\(fifteen))", .lua, "function same(...) return ... end")
      #expect(try await lua.call(fewer, Array(values[..<15])) == Array(values[..<15]))
      #expect(try await lua.spot(fewer, Array(values[..<15])).values() == Array(values[..<15]))
    }
  }

  /// What a procedure does, whether it ends at once, and the error it ends with.
  private static let endingCases: [(String, SpotWay, String?)] = [
    ("return 1", .done, nil), ("return 1, nil", .done, nil),
    ("error('boom')", .left, "boom"), ("error({message = 'm'})", .left, "m"),
    ("error(setmetatable({}, {__tostring = function() return 'told' end}))", .left, "told"),
    ("return 'a'", .left, "rpc1 returned [str], but declares [int]"),
    ("return 1, 2", .left, "rpc1 returned [int, int], but declares [int]"),
    ("return", .left, "rpc1 returned [None], but declares [int]"),
    ("return {}", .left, "rpc1 returned [List[?]], but declares [int]"),
    ("return print", .left, "rpc1 returned a function, which cannot be sent"),
    (
      "local t = {} while true do t[#t + 1] = {} end", .left,
      "not enough memory: the call may use 1048576 bytes"
    ),
    ("while true do end", .left, "the call used more than 20 slices of processor time"),
    ("local function f() return 1 + f() end return f()", .left, "stack overflow"),
  ]

  @Test(
    "a call that ends at once leaves nothing to do, and any other goes on like every call",
    arguments: endingCases)
  func endings(_ body: String, _ way: SpotWay, _ message: String?) async throws {
    try await withLua({
      $0.luaSlicesPerCall = 20
      $0.luaMemoryBytes = 1 << 20
    }) { lua in
      let unit = SourceUnit.make(
        "rpc1(bool) -> int", .lua, "function rpc1(does)\nif not does then return 1 end\n\(body)\nend")
      #expect(try await lua.call(unit, [false]) == [1])
      for _ in 0..<3 {
        // One of a thousand is paused by the computer, and one whose interpreter was replaced has none.
        let spot = try await lua.spot(unit, [true])
        #expect([way, .left, .notRun].contains(spot.way))
        guard spot.way != .notRun else { continue }
        let error = try await failure { try await spot.result() }
        #expect(
          error?.message == message || message == "stack overflow" && error?.exception == .executionException)
        if message == "boom" { #expect(error?.source == "rpc1.lua:3") }
        #expect(try await lua.call(unit, [false]) == [1])
      }
      #expect(await lua.onLoop { runtime, _ in runtime.load.running } == 0)
    }
  }

  @Test("one that is paused in the middle of long values goes on with them")
  func long() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "f(List[int], int) -> (List[int], int)", .lua,
        "function f(a, n) local sum = 0 for _ = 1, n do for i = 1, #a do sum = sum + a[i] end end return a, sum end"
      )
      let ints = Value.list((0..<10_000).map { .int(Int64($0)) })
      #expect(try await lua.call(unit, [ints, 0]) == [ints, 0])
      for times in [0, 1, 100, 1000] {
        let spot = try await lua.spot(unit, [ints, .int(Int64(times))])
        #expect(spot.way != .notRun)
        #expect(try await spot.result() == [ints, .int(Int64(times) * 49_995_000)])
      }
    }
  }

  @Test("one that calls another procedure goes on when that has answered")
  func nested() async throws {
    let lua = try RuntimeHarness { loop, log in
      LuaRuntime(RuntimeContext(loop: loop, nested: EchoCaller(), log: log))
    }
    let unit = SourceUnit.make(
      "ask(str) -> Any", .lua, "function ask(what) return rpc.call('s2', 'service2.echo', what, {1, 2}) end")
    let expected: [Value] = [["s2", "service2.echo", "x", [1, 2]]]
    #expect(try await lua.call(unit, ["x"]) == expected)
    for _ in 0..<3 {
      let spot = try await lua.spot(unit, ["x"])
      #expect(spot.way == .left)
      #expect(try await spot.result() == expected)
    }
    await lua.close()
  }

  @Test("one whose slice is used up has others wait for the next turn, and can be cancelled")
  func cancelling() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make("spin(bool) -> int", .lua, "function spin(on) while on do end return 1 end")
      #expect(try await lua.call(unit, [false]) == [1])
      let spot = try await lua.spot(unit, [true], then: unit, [false])
      #expect(spot.way == .left)
      #expect(spot.nextWay == .notRun)
      await lua.cancel(spot.pending)
      let error = try await failure { try await spot.result() }
      #expect(error?.exception == .cancelled)
      #expect(error?.executed == .maybe)
      #expect(try await lua.call(unit, [false]) == [1])
    }
  }

  // MARK: Interpreters

  private static func unit(_ index: Int) -> SourceUnit {
    SourceUnit.make(
      "f(int) -> int", .lua, "function f(a) return a + \(index) end", service: "service\(index)")
  }

  @Test(
    "of many sources as many interpreters are kept as are allowed, and what was prepared is not loaded again")
  func interpretersAreGivenBack() async throws {
    try await withLua({ $0.luaIdleInterpreters = 4 }) { lua in
      let units = (0..<40).map { Self.unit($0) }
      for unit in units { try await lua.prepare(unit) }
      #expect(await lua.interpreters() == Interpreters(loaded: 4, made: 40))
      // A deployment that changes one of them prepares all.
      for unit in units { try await lua.prepare(unit) }
      let changed = Self.unit(1000)
      try await lua.prepare(changed)
      #expect(await lua.interpreters() == Interpreters(loaded: 4, made: 41))
      for (index, unit) in units.enumerated() {
        #expect(try await lua.call(unit, [1]) == [.int(Int64(index) + 1)])
      }
      #expect(await lua.interpreters().loaded == 4)
      // What was called last is still there.
      let made = await lua.interpreters().made
      for unit in units.suffix(4) { #expect(try await lua.spot(unit, [0]).way == .done) }
      #expect(try await lua.spot(units[0], [0]).way == .notRun)
      #expect(await lua.interpreters() == Interpreters(loaded: 4, made: made))
    }
  }

  @Test("those that nobody calls are given back after a while, but not that of a long source")
  func timeGivesBack() async throws {
    try await withLua({
      $0.luaIdleMilliseconds = 20
      $0.luaIdleSourceBytes = 200
    }) { lua in
      let units = (0..<5).map { Self.unit($0) }
      let long = SourceUnit.make(
        "f() -> int", .lua, "function f() return 1 end --" + String(repeating: "x", count: 200))
      try await lua.prepare(long)
      for unit in units { try await lua.prepare(unit) }
      let spinning = SourceUnit.make("spin()", .lua, "function spin() while true do end end")
      let pending = await lua.start(spinning)
      // The long one's, and that of the call.
      while await lua.interpreters().loaded > 2 {}
      #expect(!pending.isFinished)
      await lua.cancel(pending)
      while await lua.interpreters().loaded > 1 {}
      #expect(try await lua.spot(long).values() == [1])
      #expect(try await lua.call(units[3], [1]) == [4])
    }
  }

  private static let seeds = (0..<4).map { _ in UInt64.random(in: .min ... .max) }

  @Test(
    "after thousands of random calls, cancels and deployments every call has ended as it must",
    arguments: seeds)
  func agreesWithAModel(seed: UInt64) async throws {
    var random = SeededRandom(seed: seed)
    let limit = 3
    try await withLua({ $0.luaIdleInterpreters = limit }) { lua in
      var units = (0..<8).map(Self.spinner)
      // Calls that go on until they are told to end.
      var going: [PendingCall] = []
      for step in 0..<1000 {
        let index = Int.random(in: 0..<units.count, using: &random)
        let unit = units[index]
        let number = Int64.random(in: -1000...1000, using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<45:
          let spot = try await lua.spot(unit, [.int(number), false])
          // What cannot run where it was read takes the other way.
          let values =
            spot.way == .notRun ? try await lua.call(unit, [.int(number), false]) : try await spot.result()
          #expect(values == [.int(number + Int64(index))], "seed \(seed), step \(step)")
        case 45..<65:
          let values = try await lua.call(unit, [.int(number), false])
          #expect(values == [.int(number + Int64(index))], "seed \(seed), step \(step)")
        case 65..<73 where going.count < 2:
          let spot = try await lua.spot(unit, [.int(number), true])
          if spot.way == .notRun {
            going.append(await lua.start(unit, [.int(number), true]))
          } else {
            #expect(spot.way == .left, "seed \(seed), step \(step)")
            going.append(spot.pending)
          }
        case 73..<85:
          guard !going.isEmpty else { continue }
          let pending = going.remove(at: Int.random(in: 0..<going.count, using: &random))
          #expect(!pending.isFinished, "seed \(seed), step \(step)")
          await lua.cancel(pending)
          let error = try await failure { try await pending.result() }
          #expect(error?.exception == .cancelled, "seed \(seed), step \(step)")
        case 85..<92: try await lua.prepare(unit)
        case 92..<97:
          units[index] = Self.spinner(index)
          try await lua.prepare(units[index])
          await lua.onLoop { runtime, _ in runtime.forget(digests: [unit.digest]) }
        default: await lua.onLoop { runtime, _ in runtime.secretsChanged() }
        }
        let loaded = await lua.interpreters().loaded
        #expect(loaded >= 0 && loaded <= limit + going.count + 1, "seed \(seed), step \(step)")
        #expect(
          await lua.onLoop { runtime, _ in runtime.load.running } == going.count, "seed \(seed), step \(step)"
        )
      }
      for pending in going { await lua.cancel(pending) }
      #expect(await lua.interpreters().loaded <= limit)
      #expect(await lua.onLoop { runtime, _ in runtime.load.running } == 0)
    }
  }

  private static func spinner(_ index: Int) -> SourceUnit {
    SourceUnit.make(
      "f(int, bool) -> int", .lua, "function f(a, on) while on do end return a + \(index) end",
      service: "service\(index)")
  }
}

/// Of a Lua runtime.
struct Interpreters: Equatable {
  var loaded: Int
  var made: Int
}

/// How far a call came.
enum SpotWay: Sendable {
  case done, notRun, left
}

/// A call that was made where a server would read it.
struct SpotCallResult {
  let way: SpotWay
  let output: [UInt8]
  /// That of a call made in the same turn.
  var nextWay: SpotWay?
  let pending: PendingCall

  func values() throws -> [Value] { try Value.list(messagePack: output) }

  /// Its values, now or when it has ended.
  func result() async throws -> [Value] {
    way == .done ? try values() : try await pending.result()
  }
}

extension RuntimeHarness {
  func spot(_ unit: SourceUnit, _ arguments: [Value] = []) async throws -> SpotCallResult {
    try await spot(unit, encoded: Value.list(arguments).messagePack)
  }

  func spot(_ unit: SourceUnit, encoded arguments: [UInt8]) async throws -> SpotCallResult {
    let pending = PendingCall()
    let (way, output) = await onLoop { runtime, _ in Self.spot(unit, arguments, in: runtime, pending) }
    return SpotCallResult(way: way, output: output, pending: pending)
  }

  /// Two calls in one turn of the loop.
  func spot(
    _ unit: SourceUnit, _ arguments: [Value], then next: SourceUnit, _ nextArguments: [Value]
  ) async throws -> SpotCallResult {
    let pending = PendingCall()
    let first = Value.list(arguments).messagePack
    let second = Value.list(nextArguments).messagePack
    let (way, output, nextWay) = await onLoop { runtime, _ in
      let (way, output) = Self.spot(unit, first, in: runtime, pending)
      return (way, output, Self.spot(next, second, in: runtime, PendingCall()).0)
    }
    return SpotCallResult(way: way, output: output, nextWay: nextWay, pending: pending)
  }

  private static func spot(
    _ unit: SourceUnit, _ arguments: [UInt8], in runtime: any ProcedureRuntime, _ pending: PendingCall
  ) -> (SpotWay, [UInt8]) {
    var output = ByteQueue()
    guard let procedure = runtime.spotProcedure(of: unit) else { return (.notRun, []) }
    switch procedure.run(arguments.span.bytes, into: &output) {
    case .done: return (.done, output.copy())
    case .notRun: return (.notRun, output.copy())
    case .left(let rest):
      let invocation = Invocation(unit: unit, arguments: arguments, deadline: nil) { pending.finish($0) }
      pending.invocation = invocation
      rest.goOn(as: invocation)
      return (.left, output.copy())
    }
  }

  /// How many interpreters are loaded, and how many were made at all.
  func interpreters() async -> Interpreters {
    await onLoop { runtime, _ in
      guard let lua = runtime as? LuaRuntime else { return Interpreters(loaded: -1, made: -1) }
      return Interpreters(loaded: lua.interpreters, made: lua.machinesMade)
    }
  }
}
