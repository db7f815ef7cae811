import RPCProcedures
import RPCTransport
import RPCWire
import Testing

@Suite("Lua procedures")
struct LuaRuntimeTests {
  @Test("a procedure is prepared and called")
  func callsAProcedure() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "rpc2(List[int], List[str]) -> str", .lua,
        "function rpc2(a, b) return table.concat(a, ',') .. ':' .. table.concat(b, ',') end")
      try await lua.prepare(unit)
      let result = try await lua.call(unit, [[1, 2], ["x", "é"]])
      #expect(result == ["1,2:x,é"])
    }
  }

  private static let valueCases: [(String, Value)] = [
    ("int", .int(.max)), ("int", .int(.min)), ("int", 0), ("int", -33), ("int", -129), ("int", 65536),
    ("float", .float(.infinity)), ("float", .float(-0.0)), ("float", .float(.leastNonzeroMagnitude)),
    ("float", 3.0), ("bool", true), ("bool", false), ("str", ""), ("str", "a\u{0}b"),
    ("str", "\u{10FFFF}é"), ("bytes", .bytes([0, 255, 128])), ("bytes", .bytes([])), ("None", .null),
    ("List[int]", []), ("List[List[int]]", [[1], []]), ("Dict[str, int]", ["a": 1]),
    ("Dict[str, int]", .map([])), ("Optional[int]", .null), ("Optional[int]", 3),
    ("Dict[str, List[float]]", ["a": [1.0, 2.5]]), ("List[Optional[str]]", ["a", nil, "b"]),
    ("Dict[str, Optional[str]]", ["a": nil]), ("Any", [1, 2.5, nil, true, "x", ["k": [1]]]),
  ]

  @Test("values survive both ways exactly", arguments: valueCases)
  func valuesSurvive(_ type: String, _ value: Value) async throws {
    try await withLua { lua in
      let unit = SourceUnit.make("echo(\(type)) -> \(type)", .lua, "function echo(a) return a end")
      let result = try await lua.call(unit, [value])
      #expect(result == [value])
      if case .float(let sent) = value, case .float(let back)? = result.first {
        #expect(sent.bitPattern == back.bitPattern)
      }
    }
  }

  @Test("an int becomes the float that is declared, on the way in and on the way out")
  func intsBecomeFloats() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "f(float, List[float]) -> (str, str, float)", .lua,
        "function f(a, b) return math.type(a), math.type(b[1]), 7 end")
      let result = try await lua.call(unit, [3, [1]])
      #expect(result == ["float", "float", 7.0])
    }
  }

  @Test("long values survive, a part in each slice")
  func longValues() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "f(List[int], str) -> (List[int], str)", .lua, "function f(a, b) return a, b end")
      let ints = Value.list((0..<300_000).map { .int(Int64($0) * 1_000_003) })
      let text = Value.string(String(repeating: "é", count: 500_000))
      let result = try await lua.call(unit, [ints, text])
      #expect(result == [ints, text])
    }
  }

  @Test("a plain search finds what is there, short or long, wherever it is")
  func plainSearch() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "rpc1(int, int) -> List[Optional[int]]", .lua,
        """
        function rpc1(before, length)
          local needle = ('ab'):rep(length // 2) .. 'c'
          local text = ('ab'):rep(before // 2) .. needle .. 'x'
          local first, last = text:find(needle, 1, true)
          return {first, last, text:find(needle, first + 1, true) or rpc.null, text:find('', 3, true)}
        end
        """)
      for (before, length) in [
        (0, 2), (2, 2), (100_000, 10), (300_000, 4000), (0, 4000), (4_000_000, 100_000),
      ] {
        let result = try await lua.call(unit, [.int(Int64(before)), .int(Int64(length))])
        let first = Int64(before + 1)
        #expect(result == [[.int(first), .int(first + Int64(length)), nil, 3, 2]])
      }
    }
  }

  /// What the libraries must still do after they were made safe; each line is true.
  private static let librarySnippets = [
    "math.random() < 1 and math.random(5) <= 5 and not pcall(math.random, 2, 1)",
    "math.type(1) == 'integer' and math.type(('x'):rep(300)) == nil and math.max(1, 2.5) == 2.5",
    "tonumber('0x10') == 16 and tonumber('z', 36) == 35 and tonumber(('1'):rep(300)) == nil",
    "os.time({year = 2020, month = 1, day = 1, hour = 12}) > 0 and #os.date('%Y') == 4 and os.clock() >= 0",
    "not pcall(os.date, '%Ez') and not pcall(os.date, ('x'):rep(300))",
    "utf8.len('äö') == 2 and utf8.char(228) == 'ä' and select('#', utf8.codepoint('äö', 1, -1)) == 2",
    "select(2, pcall(error, 'x', 0)) == 'x' and select('#', xpcall(print, error)) == 1",
    "select(2, xpcall(error, function(e) return e .. '!' end, 'x')) == 'x!'",
    "getmetatable('') == false and ('x'):rep(3, '-') == 'x-x-x' and '10' + 5 == 15",
    "string.format('%5.1f|%q|%s', 1.25, 'a b', rpc.null) == '  1.2|\"a b\"|rpc.null'",
    "string.unpack('<i4', string.pack('<i4', -2)) == -2 and #string.pack('z', 'ab') == 3",
    "#table.pack(table.unpack({1, 2, 3})) == 3 and table.concat(table.move({1, 2, 3}, 2, 3, 1), ',') == '2,3,3'",
    "('THE (quick) fox'):find('%((%a+)%)') == 5 and ('k = v'):match('^(%w+)%s*=%s*(%w+)$') == 'k'",
    "('hello world'):gsub('o', '0', 1) == 'hell0 world' and ('abc'):gsub('%w', '%0%0') == 'aabbcc'",
    "select(2, pcall(string.rep)):find('string.rep', 1, true) ~= nil",
  ]

  @Test("the libraries do what the manual says", arguments: librarySnippets)
  func libraries(_ condition: String) async throws {
    try await withLua { lua in
      let unit = SourceUnit.make("rpc1() -> bool", .lua, "function rpc1() return \(condition) end")
      let result = try await lua.call(unit)
      #expect(result == [true])
    }
  }

  private static let wrongReturnCases: [(String, String, String)] = [
    ("int", "'a'", "rpc1 returned [str], but declares [int]"),
    ("int", "10 / 2", "rpc1 returned [float], but declares [int]"),
    ("int", "true", "rpc1 returned [bool], but declares [int]"),
    ("str", "nil", "rpc1 returned [None], but declares [str]"),
    ("str", "1", "rpc1 returned [int], but declares [str]"),
    ("List[int]", "{1, 'a'}", "rpc1 returned [List[Any]], but declares [List[int]]"),
    ("List[int]", "{{1}, {2}}", "rpc1 returned [List[List[int]]], but declares [List[int]]"),
    ("(int, str)", "1, 2", "rpc1 returned [int, int], but declares [int, str]"),
    ("(int, str)", "1", "rpc1 returned [int, None], but declares [int, str]"),
    ("int", "1, 2", "rpc1 returned [int, int], but declares [int]"),
    ("Dict[str, int]", "{1}", "rpc1 returned a table with the key 1; a Dict's keys are str"),
    (
      "str", "'a\\xff'", "rpc1 returned a str that is not UTF-8 (at byte 2); declare bytes for other data"
    ),
    ("Any", "print", "rpc1 returned a function, which cannot be sent"),
    ("List[int]", "{1, nil, 3}", "rpc1 returned a list of 3 with a hole in it; rpc.null stands for None"),
  ]

  @Test(
    "a wrong return value is an exception that says what was returned and what declared",
    arguments: wrongReturnCases)
  func wrongReturns(_ declared: String, _ returned: String, _ message: String) async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "rpc1() -> \(declared)", .lua, "function rpc1() return \(returned) end")
      let error = try await failure { try await lua.call(unit) }
      #expect(error?.exception == .executionException)
      #expect(error?.message == message)
      #expect(error?.executed == .yes)
    }
  }

  private static let raisingCases: [(String, String, Int)] = [
    ("error('boom')", "boom", 2), ("local x; return x.y", "attempt to index a nil value (local 'x')", 2),
    ("error({message = 'm'})", "m", 2), ("error('a', 0)", "a", 2), ("\n\nerror('x')", "x", 4),
    ("return 1 + {}", "attempt to perform arithmetic on a table value", 2),
    ("error()", "the error is nil", 2),
    ("string.rep()", "bad argument #1 to 'rep' (string expected, got no value)", 2),
  ]

  @Test("an error carries its message and its source line", arguments: raisingCases)
  func errors(_ body: String, _ message: String, _ line: Int) async throws {
    try await withLua { lua in
      let unit = SourceUnit.make("rpc1() -> int", .lua, "function rpc1()\n\(body)\nend")
      let error = try await failure { try await lua.call(unit) }
      #expect(error?.message == message)
      #expect(error?.source == "rpc1.lua:\(line)")
      #expect(error?.executed == .yes)
    }
  }

  @Test(
    "a byte order mark and a first line with # are passed over, and lines keep their numbers",
    arguments: [
      ("\u{feff}function rpc1() return 1 end", 1), ("#!/usr/bin/lua\nfunction rpc1() return 2 end", 2),
      ("\u{feff}#!/usr/bin/lua\r\nfunction rpc1() return 3 end", 3), ("#\nfunction rpc1() return 4 end", 4),
    ] as [(String, Value)])
  func preamble(_ source: String, _ expected: Value) async throws {
    try await withLua { lua in
      let values = try await lua.call(SourceUnit.make("rpc1() -> int", .lua, source))
      #expect(values == [expected])
    }
  }

  private static let unloadableCases: [(String, String?, String)] = [
    ("function rpc1(", "rpc1.lua:1", "<name> or '...' expected near <eof>"),
    ("function other(a) end", "rpc1.lua", "rpc1.lua has no global function 'rpc1'"),
    ("x = 1\nerror('no')", "rpc1.lua:2", "no"),
    ("#!/usr/bin/lua\nerror('no')", "rpc1.lua:2", "no"),
    ("#!only", "rpc1.lua", "rpc1.lua has no global function 'rpc1'"),
    ("\u{feff}", "rpc1.lua", "rpc1.lua has no global function 'rpc1'"),
    ("\nfunction rpc1(a) end", "rpc1.lua:2", "rpc1 takes 1 of the 2 arguments that are declared"),
    ("while true do end", nil, "loading took more than 200 ms"),
  ]

  @Test("a source that cannot be loaded is not prepared", arguments: unloadableCases)
  func unloadable(_ source: String, _ place: String?, _ message: String) async throws {
    try await withLua({ $0.loadMilliseconds = 200 }) { lua in
      let unit = SourceUnit.make("rpc1(int, int) -> int", .lua, source)
      let error = try await failure {
        try await lua.prepare(unit)
        return []
      }
      #expect(error?.exception == .failedPrecondition)
      #expect(error?.source == place)
      #expect(error?.message == message)
    }
  }

  private static let absent = [
    "io", "os.execute", "os.getenv('PATH')", "os.exit", "os.remove", "debug", "package", "require", "load",
    "loadstring",
    "dofile", "loadfile", "collectgarbage", "string.dump", "coroutine", "warn",
  ]

  @Test("what reaches outside is not there", arguments: absent)
  func sandbox(_ name: String) async throws {
    try await withLua { lua in
      let unit = SourceUnit.make("rpc1() -> bool", .lua, "function rpc1() return \(name) == nil end")
      let result = try await lua.call(unit)
      #expect(result == [true])
    }
  }

  @Test("sources do not see each other's globals, calls of one source share them")
  func globals() async throws {
    try await withLua { lua in
      let one = SourceUnit.make(
        "one() -> int", .lua, "n = 0\nstring.mine = 1\nfunction one() n = n + 1 return n end")
      let other = SourceUnit.make(
        "other() -> bool", .lua, "function other() return n == nil and string.mine == nil end")
      _ = try await lua.call(one)
      let second = try await lua.call(one)
      let seen = try await lua.call(other)
      #expect(second == [2])
      #expect(seen == [true])
    }
  }

  @Test("the log takes what procedures log and print, up to a bound")
  func logging() async throws {
    try await withLua({ $0.logLinesPerCall = 3 }) { lua in
      let unit = SourceUnit.make(
        "talk()", .lua,
        "function talk() rpc.log('a', 1, nil) print({} ~= nil, rpc.null) for i = 1, 100 do print(i) end end")
      _ = try await lua.call(unit)
      #expect(
        lua.output == [
          "log: a\t1\tnil", "log: true\trpc.null", "log: 1", "log: (more output of this call is dropped)",
        ])
    }
  }

  @Test("the deadline ends a call, even one that catches every error")
  func deadlines() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "spin()", .lua, "function spin() while true do pcall(function() while true do end end) end end")
      let error = try await failure { try await lua.call(unit, milliseconds: 50) }
      #expect(error?.exception == .deadlineExceeded)
      #expect(error?.executed == .maybe)
    }
  }

  @Test("a cancelled call ends")
  func cancelling() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make("spin()", .lua, "function spin() while true do end end")
      let pending = await lua.start(unit)
      await lua.cancel(pending)
      let error = try await failure { try await pending.result() }
      #expect(error?.exception == .cancelled)
    }
  }

  @Test("calls in flight and slices of one call are bounded")
  func bounds() async throws {
    try await withLua({
      $0.luaCallsInFlight = 2
      $0.luaSlicesPerCall = 300
    }) { lua in
      let unit = SourceUnit.make(
        "spin(bool) -> int", .lua, "function spin(on) while on do end return 1 end")
      let first = await lua.start(unit, [true])
      let second = await lua.start(unit, [true])
      let refused = try await failure { try await lua.call(unit, [false]) }
      #expect(refused?.exception == .resourceExhausted)
      #expect(refused?.actual == 3)
      #expect(refused?.limit == 2)
      let spent = try await failure { try await first.result() }
      #expect(spent?.message == "the call used more than 300 slices of processor time")
      _ = try await failure { try await second.result() }
      let result = try await lua.call(unit, [false])
      #expect(result == [1])
    }
  }

  @Test("calls that wait for their source to load are in flight, until they are cancelled or it is loaded")
  func boundWhileLoading() async throws {
    try await withLua({
      $0.luaCallsInFlight = 2
      $0.luaSlicesPerCall = 1000
    }) { lua in
      // Its top level takes all the slices that it may, so the calls below find it loading.
      let unit = SourceUnit.make(
        "one() -> int", .lua, "function one() return 1 end while true do end")
      let first = await lua.start(unit)
      let second = await lua.start(unit)
      let refused = try await failure { try await lua.call(unit) }
      #expect(refused?.message == "2 Lua calls are in flight, the limit is 2")
      #expect(refused?.actual == 3)
      await lua.cancel(first)
      let cancelled = try await failure { try await first.result() }
      #expect(cancelled?.exception == .cancelled)
      #expect(cancelled?.executed == .no)
      let third = await lua.start(unit)
      for waiting in [second, third] {
        let error = try await failure { try await waiting.result() }
        #expect(error?.message == "the call used more than 1000 slices of processor time")
        #expect(error?.executed == .no)
      }
      let good = SourceUnit.make("one() -> int", .lua, "function one() return 1 end")
      for _ in 0..<5 { #expect(try await lua.call(good) == [1]) }
    }
  }

  @Test("a procedure calls another one, and its errors are errors of the call")
  func nestedCalls() async throws {
    let lua = try RuntimeHarness { loop, log in
      LuaRuntime(RuntimeContext(loop: loop, nested: EchoCaller(), log: log))
    }
    let unit = SourceUnit.make(
      "ask(str) -> (Any, str)", .lua,
      """
      function ask(what)
        local ok, err = pcall(rpc.call, nil, 'service2.fail')
        return rpc.call('s2', 'service2.echo', what, {1, 2}, rpc.null), err
      end
      """)
    let result = try await lua.call(unit, ["x"])
    #expect(result == [["s2", "service2.echo", "x", [1, 2], nil], "ExecutionException: it failed"])
    await lua.close()
  }
}
