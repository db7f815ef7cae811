import RPCProcedures
import RPCWire
import Testing

/// What Lua's values look like to callers and in the log, and how long they may be.
@Suite("Values and bounds of Lua procedures")
struct LuaValueTests {
  // MARK: The log

  @Test("a line of any length is logged", arguments: [0, 1, 1022, 1023, 1024, 1025, 1536, 5000, 30_000])
  func longLines(_ length: Int) async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "talk(int)", .lua,
        """
        function talk(n)
          print(('x'):rep(n))
          rpc.log(1, ('y'):rep(n // 3), nil, ('z'):rep(n // 3), {} ~= nil)
        end
        """)
      _ = try await lua.call(unit, [.int(Int64(length))])
      let third = length / 3
      #expect(
        lua.output == [
          "log: " + String(repeating: "x", count: length),
          "log: 1\t" + String(repeating: "y", count: third) + "\tnil\t"
            + String(repeating: "z", count: third) + "\ttrue",
        ])
    }
  }

  @Test("what is printed above the bound of a call is cut, and the rest is dropped")
  func cutLines() async throws {
    try await withLua({ $0.logBytesPerCall = 2000 }) { lua in
      let unit = SourceUnit.make(
        "talk()", .lua, "function talk() print(('x'):rep(1500), ('y'):rep(1500)) print('more') end")
      _ = try await lua.call(unit)
      #expect(
        lua.output == [
          "log: " + String(repeating: "x", count: 1500) + "\t" + String(repeating: "y", count: 499),
          "log: (more output of this call is dropped)",
        ])
    }
  }

  // MARK: Strings that are too long

  private static let limit = 4096

  /// Each makes a string of as many bytes as its argument says, at least 4,000.
  private static let makers = [
    "('x'):rep(n)", "('x'):rep(n // 2 + 1, ''):rep(1) .. ('y'):rep(n - n // 2 - 1)",
    "table.concat({('x'):rep(n - 3), 'yyy'})", "table.concat({'x', ('y'):rep(n - 2)}, '-')",
    "(('x'):rep(3):gsub('x$', ('y'):rep(n - 2)))", "('%sy'):format(('x'):rep(n - 1)):sub(1, n - 1) .. 'z'",
    "('%s%s'):format(('x'):rep(n - 3000), ('y'):rep(3000))",
    "('%s%s'):format(setmetatable({}, {__tostring = function() return ('x'):rep(n - 3000) end}), ('y'):rep(3000))",
    "string.pack('c2000 c' .. (n - 2000), '', '')",
  ]

  @Test("a string as long as the limit is made, by whatever makes it", arguments: makers)
  func longestStrings(_ maker: String) async throws {
    try await withLua({ $0.luaValueBytes = Self.limit }) { lua in
      let unit = SourceUnit.make("make(int) -> int", .lua, "function make(n) return #(\(maker)) end")
      for length in [Self.limit - 1, Self.limit] {
        let result = try await lua.call(unit, [.int(Int64(length))])
        #expect(result == [.int(Int64(length))])
      }
    }
  }

  private static let messages: [(String, String)] = [
    ("('x'):rep(n)", "5000"), ("('x'):rep(2500) .. ('y'):rep(n - 2500)", "5000"),
    ("('xy'):rep(n // 2)", "5000"), ("('x'):rep(625, '1234567'):sub(1)", "4993"),
    ("table.concat({('x'):rep(2500), ('y'):rep(2500)})", "5000"),
    ("('%s%s'):format(('x'):rep(2500), ('y'):rep(2500))", "5000"),
    ("(('x'):gsub('x', ('y'):rep(2500) .. '%0'):rep(2))", "5002"),
    ("string.pack('zz', ('x'):rep(2500), ('x'):rep(2500))", "5000"),
    ("('x'):rep(1 << 62, 'yyyyyyyyy')", "more than 9223372036854775807"),
  ]

  @Test(
    "a string that is longer is an error with its size and the limit, the same from all", arguments: messages)
  func stringsThatAreTooLong(_ maker: String, _ size: String) async throws {
    try await withLua({ $0.luaValueBytes = Self.limit }) { lua in
      let message = "a string of \(size) bytes is too long: the limit is 4096 bytes"
      let raising = SourceUnit.make("make(int) -> int", .lua, "function make(n)\nreturn #(\(maker))\nend")
      let error = try await failure { try await lua.call(raising, [5000]) }
      #expect(error?.exception == .executionException)
      #expect(error?.message == message)
      #expect(error?.source == "make.lua:2")
      let catching = SourceUnit.make(
        "catch(int) -> List[str]", .lua,
        """
        function catch(n)
          local caught = {}
          for i = 1, 3 do
            caught[i] = select(2, pcall(function() return #(\(maker)) end))
          end
          return caught
        end
        """)
      let caught = try await lua.call(catching, [5000])
      let text = Value.string("catch.lua:4: \(message)")
      #expect(caught == [[text, text, text]])
    }
  }

  @Test("a string whose size nobody counts is too long as well")
  func buffersThatAreTooLong() async throws {
    try await withLua({ $0.luaValueBytes = 1_000_000 }) { lua in
      let unit = SourceUnit.make(
        "make() -> (bool, str)", .lua,
        """
        function make()
          local long = setmetatable({}, {__tostring = function() return ('x'):rep(999000) end})
          return pcall(string.format, '%s%s%s', long, long, long)
        end
        """)
      let result = try await lua.call(unit)
      #expect(
        result == [false, "a string of more than 1000000 bytes is too long: the limit is 1000000 bytes"])
    }
  }

  @Test("a table that is too large ends the call, with its size and the limit")
  func tablesThatAreTooLarge() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "grow()", .lua, "function grow() local t = {} for i = 1, 2000000 do t[i] = i end end")
      let error = try await failure { try await lua.call(unit) }
      #expect(error?.message == "a table of 33554432 bytes is too large: the limit is 16777216 bytes")
      #expect(error?.actual == 33_554_432)
      #expect(error?.limit == 16_777_216)
    }
  }

  // MARK: Errors

  private static let errors: [(String, String)] = [
    ("error({code = 5})", "{code = 5}"),
    ("error({code = 5, message = 'no'})", "no {code = 5}"),
    ("error({message = 'no'})", "no"),
    ("error({})", "{}"),
    ("error({1, 'two', true, 2.5, [10] = 3})", #"{1, "two", true, 2.5, [10] = 3}"#),
    ("error({b = {c = {d = {e = {}}}}, a = print})", "{a = function, b = {c = {d = {e = {…}}}}}"),
    (#"error({text = 'a"b\n\1'})"#, #"{text = "a\"b\n\x01"}"#),
    ("error({[true] = 1, x = rpc.null})", "{x = rpc.null, …}"),
    ("error(setmetatable({code = 5}, {__tostring = function(e) return 'code ' .. e.code end}))", "code 5"),
    ("error(setmetatable({}, {__tostring = function() return 1 end}))", "1"),
    ("error(setmetatable({}, {__tostring = function() return {} end}))", "'__tostring' must return a string"),
    ("error(setmetatable({}, {__tostring = function() error('worse', 0) end}))", "worse"),
    ("local t = {} t.t = t error(t)", "{t = {t = {t = {t = {…}}}}}"),
    ("error(print)", "the error is a function"), ("error(true)", "the error is a boolean"),
    ("error(nil)", "the error is nil"), ("error(12)", "12"),
  ]

  @Test("an error that is a table keeps its fields as text", arguments: errors)
  func errorTables(_ body: String, _ message: String) async throws {
    try await withLua { lua in
      let unit = SourceUnit.make("rpc1()", .lua, "function rpc1()\n\(body)\nend")
      let error = try await failure { try await lua.call(unit) }
      #expect(error?.exception == .executionException)
      #expect(error?.message == message)
      #expect(error?.source == "rpc1.lua:2")
      let nothing = SourceUnit.make("rpc2()", .lua, "function rpc2() end")
      let result = try await lua.call(nothing)
      #expect(result == [])
    }
  }

  @Test("an error's __tostring that does not end is ended by the deadline, and delays nobody")
  func endlessErrors() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "rpc1()", .lua,
        "function rpc1() error(setmetatable({}, {__tostring = function() while true do end end})) end")
      let pending = await lua.start(unit, milliseconds: 100)
      let neighbour = SourceUnit.make("one() -> int", .lua, "function one() return 1 end")
      let one = try await lua.call(neighbour)
      #expect(one == [1])
      let error = try await failure { try await pending.result() }
      #expect(error?.exception == .deadlineExceeded)
    }
  }

  @Test("a table of very many fields is cut", arguments: [31, 32, 33, 100_000])
  func manyFields(_ count: Int) async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "rpc1(int)", .lua,
        "function rpc1(n) local t = {} for i = 1, n do t[i] = 0 end error(t) end")
      let error = try await failure { try await lua.call(unit, [.int(Int64(count))]) }
      let shown = Array(repeating: "0", count: min(count, 32)) + (count > 32 ? ["…"] : [])
      #expect(error?.message == "{\(shown.joined(separator: ", "))}")
    }
  }

  // MARK: Addresses

  @Test("what stands for a table or a function is one for each, and no address")
  func identities() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "rpc1() -> List[str]", .lua,
        """
        function rpc1()
          local a, b = {}, {}
          return {tostring(a), tostring(a), tostring(b), ('%s'):format(b), ('%p'):format(b), tostring(rpc1),
            tostring(print), ('%-3s|%5p|%%p'):format('x', 1), tostring(setmetatable({}, {__name = 'kind'}))}
        end
        """)
      guard case .list(let values)? = try await lua.call(unit).first else { return #expect(Bool(false)) }
      let texts = values.compactMap { if case .string(let text) = $0 { text } else { nil } }
      #expect(texts[0] == texts[1])
      #expect(texts[0] != texts[2])
      #expect(texts[2] == texts[3])
      #expect(texts[2] == "table: " + texts[4])
      #expect(texts[7] == "x  |(null)|%p")
      #expect(texts[8].contains(/^kind: [0-9a-f]{16}$/))
      for text in texts[...3] + texts[5...6] {
        #expect(text.contains(/^(table|function): [0-9a-f]{16}$/))
      }
      // Addresses of neighbours have their upper halves in common, and the first digits are zero.
      let halves = Set([texts[0], texts[2], texts[5], texts[6]].map { $0.suffix(16).prefix(8) })
      #expect(halves.count == 4)
    }
  }

  @Test("no seed of random numbers is an address")
  func seeds() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "rpc1() -> (List[int], int, int)", .lua,
        """
        function rpc1()
          local a, b = math.randomseed()
          local c, d = math.randomseed()
          math.randomseed(7)
          local first = math.random(1000000)
          math.randomseed(7)
          return {a, b, c, d}, first, math.random(1000000)
        end
        """)
      let result = try await lua.call(unit)
      guard case .list(let seeds)? = result.first else { return #expect(Bool(false)) }
      #expect(Set(seeds.map { "\($0)" }).count == 4)
      #expect(result[1] == result[2])
    }
  }

  // MARK: Libraries

  private static let library: [(String, String)] = [
    (
      "select(2, pcall(function() return os.date('%Ez', 0) end))",
      "rpc1.lua:1: bad argument #1 to 'date' (invalid conversion specifier '%Ez')"
    ),
    ("select(2, pcall(os.time, {}))", "field 'year' missing in date table"),
    (
      "select(2, pcall(os.date, ('x'):rep(257)))",
      "bad argument #1 to 'os.date' (a string of 257 bytes is too long: the limit is 256 bytes)"
    ),
    ("(('a\\0b\\0'):gsub('%z', 'Z'))", "aZbZ"), ("(('a\\0b'):gsub('%Z', '-'))", "-\u{0}-"),
    ("(('a\\0b'):gsub('[%z]', 'Z'))", "aZb"), ("(('a\\0b'):gsub('[^%z]', '-'))", "-\u{0}-"),
    ("('%5.1f|%5s|%-3s|%q|%i'):format(1.25, 'ab', 'c', 'd', '7')", "  1.2|   ab|c  |\"d\"|7"),
    ("('%s %s'):format(nil, true)", "nil true"),
    (
      "select(2, pcall(string.format, '%d', 'x'))",
      "bad argument #2 to 'string.format' (number expected, got string)"
    ),
    ("select(2, pcall(string.format, '%d'))", "bad argument #2 to 'string.format' (no value)"),
    (
      "select(2, pcall(string.sub, 'x', ('1'):rep(257)))",
      "bad argument #2 to 'string.sub' (a numeral of 257 bytes is too long: the limit is 256 bytes)"
    ),
    ("('abc'):sub(('0'):rep(255) .. '2')", "bc"),
    ("('aXb'):upper() .. ('aXb'):lower() .. ('abc'):reverse()", "AXBaxbcba"),
    ("('ab'):rep(3, ', ') .. ('x'):rep(0) .. (''):rep(1000, '') .. ('y'):rep(1, 'z')", "ab, ab, aby"),
    ("tostring(#('abc'):rep(1000, '--')) .. ('abc'):rep(1000, '--'):sub(-7)", "4998bc--abc"),
    ("('Ab'):rep(1000):lower():sub(-3) .. ('ab'):rep(1000, 'c'):reverse():sub(1, 5)", "bab" + "bacba"),
    ("select(2, pcall(rpc.call, nil, 'a.b', print))", "an argument is a function, which cannot be sent"),
    ("select(2, pcall(error))", "nil"),
  ]

  @Test("library functions show and raise what the manual says", arguments: library)
  func libraries(_ expression: String, _ text: String) async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "rpc1() -> str", .lua, "function rpc1() return tostring(\(expression)) end")
      let result = try await lua.call(unit)
      #expect(result == [.string(text)])
    }
  }

  @Test("a time with metamethods is read, and put right, as one without")
  func times() async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "rpc1() -> (bool, str)", .lua,
        """
        function rpc1()
          local plain = {year = 2020, month = 14, day = 1, hour = 12}
          local odd = setmetatable({month = 14, day = 1, hour = 12}, {__index = {year = 2020}})
          return os.time(plain) == os.time(odd), odd.year .. '-' .. odd.month
        end
        """)
      let result = try await lua.call(unit)
      #expect(result == [true, "2021-2"])
    }
  }
}
