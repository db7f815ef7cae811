import RPCProcedures
import RPCTransport
import RPCWire
import Testing

/// What a procedure can do to its neighbours: each of these runs beside one that answers at once, and the
/// turns of the loop stay short.
@Suite("Hostile Lua procedures", .serialized)
struct LuaHostilityTests {
  struct Attack: Sendable, CustomTestStringConvertible {
    var name: String
    var body: String
    /// How it ends, or nil where it goes on until its deadline.
    var end: String?
    /// How else it may end.
    var otherEnd: String?
    var testDescription: String { name }
  }

  private static let unpausable =
    "the procedure spent too long in library functions that cannot be paused, on huge values or in "
    + "metamethods that they call"
  private static let memory = "not enough memory: the call may use 67108864 bytes"

  private static func tooLong(_ bytes: Int) -> String {
    "a string of \(bytes) bytes is too long: the limit is 16777216 bytes"
  }

  static let attacks: [Attack] = [
    Attack(name: "spins", body: "while true do end"),
    Attack(name: "spins and catches", body: "while true do pcall(function() while true do end end) end"),
    Attack(
      name: "spins in an error handler",
      body: "while true do xpcall(error, function() while true do end end) end"),
    Attack(
      name: "spins in a comparator", body: "table.sort({3, 2, 1}, function() while true do end end)"),
    Attack(
      name: "sorts a million",
      body:
        "local t = {} for i = 1, 1000000 do t[i] = (i * 7919) % 1000003 end while true do table.sort(t) end"),
    Attack(name: "spins in a replacement", body: "('x'):gsub('.', function() while true do end end)"),
    Attack(
      name: "spins in a metamethod of a library function",
      body: "table.concat(setmetatable({}, {__index = function() while true do end end}), '', 1, 2)",
      end: unpausable),
    Attack(
      name: "catches in such a metamethod",
      body: """
        local function spin() while true do pcall(function() while true do end end) end end
        tostring(setmetatable({}, {__tostring = spin}))
        """, end: unpausable),
    Attack(name: "backtracks", body: "('a'):rep(40000):find(('.-'):rep(10) .. 'b')"),
    Attack(name: "repeats long", body: "local s = ('a'):rep(4000000) while true do s:match('.*b') end"),
    Attack(name: "balances long", body: "local s = ('('):rep(4000000) while true do s:find('%b()') end"),
    Attack(
      name: "iterates matches", body: "for a in ('a'):rep(8000000):gmatch('a') do end while true do end"),
    Attack(name: "replaces with pcall", body: "while true do ('a'):rep(4000000):gsub('.', pcall) end"),
    Attack(
      name: "searches plainly for something long",
      body: "local s = ('a'):rep(8000000) while true do s:find(('a'):rep(100000) .. 'b', 1, true) end"),
    Attack(
      name: "searches plainly for something short",
      body: "local s = ('a'):rep(8000000) while true do s:find(('a'):rep(200) .. 'b', 1, true) end"),
    Attack(
      name: "inserts with a made-up length",
      body: "table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 2)"),
    Attack(
      name: "removes with a made-up length",
      body: "table.remove(setmetatable({}, {__len = function() return 1 << 60 end}), 1)"),
    Attack(
      name: "concatenates with a made-up length",
      body: "local e = {__len = function() return 1 << 60 end, __index = {}} e.__index[1] = '' "
        + "local t = {} for i = 1, 500000 do t[i] = '' end while true do table.concat(t) end"),
    Attack(
      name: "moves for ever",
      body: "table.move({}, 1, 1 << 60, 2, {})"),
    Attack(
      name: "fills memory", body: "local t = {} while true do t[#t + 1] = {} end", end: memory),
    Attack(
      name: "fills memory and catches",
      body: "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) end",
      end: memory),
    Attack(
      name: "doubles a string", body: "local s = 'x' while true do s = s .. s end", end: tooLong(33_554_432)),
    Attack(
      name: "doubles a string and catches",
      body: "while true do local s = 'x' pcall(function() while true do s = s .. s end end) end"),
    Attack(name: "repeats 16 MiB", body: "while true do local s = ('x'):rep(16777216) end"),
    Attack(
      name: "joins to 16 MiB", body: "local a = ('x'):rep(8388608) while true do local s = a .. a end"),
    Attack(
      name: "changes 16 MiB",
      body: """
        local a = ('x'):rep(16777216)
        while true do local s = a:upper() s = a:reverse() s = a:sub(2) s = ('%s'):format(a) end
        """),
    Attack(
      name: "replaces by a long list of captures",
      body: "local r = ('%1'):rep(4000000) while true do ('x'):gsub('()', r) end"),
    Attack(
      name: "replaces nothing by a long list of nothing",
      body: "local r = ('%1'):rep(4000000) while true do ('x'):gsub('(y*)', r) end"),
    Attack(
      name: "matches a set of megabytes",
      body: "('a'):find('[' .. ('b'):rep(10000000) .. ']')",
      end: "a pattern of 10000002 bytes is too long: the limit is 65536 bytes "
        + "(a plain search has none: pass true as the fourth argument)"),
    Attack(
      name: "pads megabytes", body: "while true do pcall(string.pack, 'c16000000', '') end"),
    Attack(
      name: "formats megabytes many times",
      body: """
        local a = ('x'):rep(16777216)
        while true do pcall(string.format, ('%.1s'):rep(8), a, a, a, a, a, a, a, a) end
        """),
    Attack(
      name: "passes numerals of megabytes",
      body: """
        local a = ('1'):rep(16777216)
        while true do pcall(string.sub, 'x', a) pcall(string.rep, 'x', a) pcall(select, a) pcall(string.format, '%d', a) end
        """),
    Attack(
      name: "passes deep maps with a long string",
      body: """
        local t = ('x'):rep(16000000)
        for _ = 1, 60 do t = {a = t} end
        while true do pcall(rpc.call, nil, 'a.b', t) end
        """),
    Attack(
      name: "passes a list whose keys are out of order",
      body: """
        local t = {}
        for i = 500000, 1, -1 do t[i] = i end
        while true do pcall(rpc.call, nil, 'a.b', t) end
        """),
    Attack(
      name: "passes tables that were large",
      body: """
        local t, list = {}, {}
        for i = 1, 200000 do t['k' .. i] = 1 end
        for i = 1, 200000 do t['k' .. i] = nil end
        for i = 1, 10000 do list[i] = t end
        while true do pcall(rpc.call, nil, 'a.b', list) end
        """),
    Attack(
      name: "raises megabytes", body: "error(('x'):rep(16000000), 0)",
      end: String(repeating: "x", count: 8192) + "… (16000000 bytes in all)"),
    Attack(
      name: "repeats a string for ever", body: "string.rep('x', 1 << 40)",
      end: tooLong(1 << 40)),
    Attack(
      name: "walks an empty table that was large",
      body: """
        local t = {}
        for i = 1, 200000 do t['k' .. i] = 1 end
        for i = 1, 200000 do t['k' .. i] = nil end
        while true do next(t) end
        """),
    Attack(
      name: "compares long strings",
      body:
        "local a, b = ('x'):rep(4000000) .. 'a', ('x'):rep(4000000) .. 'b' while true do local _ = a == b end"
    ),
    Attack(
      name: "computes with long numerals", body: "return ('1'):rep(4000000) + 1",
      end: "arithmetic: a string of 4000000 bytes, the limit is 256"),
    Attack(
      name: "sets a finalizer", body: "setmetatable({}, {__gc = function() while true do end end})",
      end: "a procedure's metatable cannot have __gc"),
    Attack(
      name: "recurses", body: "local function f() return 1 + f() end f()", end: "stack overflow",
      otherEnd: memory),
  ]

  @Test("a hostile procedure delays its neighbours by milliseconds only", arguments: attacks)
  func hostileProceduresAreSliced(_ attack: Attack) async throws {
    try await withLua { lua in
      let hostile = SourceUnit.make("hostile()", .lua, "function hostile()\n\(attack.body)\nend")
      let neighbour = SourceUnit.make("add(int, int) -> int", .lua, "function add(a, b) return a + b end")
      try await lua.prepare(hostile)
      try await lua.prepare(neighbour)
      // What the computer does besides, such as finding pages for a large string, only ever adds: the best of
      // some tries tells what the procedure itself can do.
      var best = UInt64.max
      for _ in 0..<5 where best >= Self.delayMax {
        best = min(best, try await typicalDelay(of: neighbour, beside: hostile, attack, lua))
      }
      #expect(best < Self.delayMax, "the median delay was \(best) ns")
    }
  }

  /// Two slices, and much room: nanoseconds of processor time.
  private static let delayMax: UInt64 = 10_000_000

  /// How long a neighbour's calls take, in the middle, while the hostile procedure runs to its end.
  private func typicalDelay(
    of neighbour: SourceUnit, beside hostile: SourceUnit, _ attack: Attack, _ lua: RuntimeHarness
  ) async throws -> UInt64 {
    let pending = await lua.start(hostile, milliseconds: attack.end == nil ? 300 : 20_000)
    var delays: [UInt64] = []
    repeat {
      let begin = lua.processorTime()
      let sum = try await lua.call(neighbour, [1, 2])
      delays.append(lua.processorTime() - begin)
      #expect(sum == [3])
    } while !pending.isFinished
    let error = try await failure { try await pending.result() }
    let ends = [attack.end ?? "the deadline passed", attack.otherEnd]
    #expect(ends.contains(error?.message))
    return delays.sorted()[delays.count / 2]
  }

  @Test("a procedure that stops the interpreter itself loses it, and its neighbours lose nothing")
  func interpreterIsGivenUp() async throws {
    try await withLua({ $0.luaOperationMilliseconds = 20 }) { lua in
      // A chain of weak keys in no order: the collector walks it again for every link.
      let hostile = SourceUnit.make(
        "hostile(bool) -> int", .lua,
        """
        function hostile(on)
          if not on then return 1 end
          local weak, keys = setmetatable({}, {__mode = 'k'}), {}
          for i = 1, 200000 do keys[i] = {} end
          for i = 1, 199999 do
            weak[keys[(i * 7919) % 200000 + 1]] = keys[((i + 1) * 7919) % 200000 + 1]
          end
          local first = keys[7920]
          keys = nil
          while true do local garbage = {} end
        end
        """)
      let neighbour = SourceUnit.make("add(int, int) -> int", .lua, "function add(a, b) return a + b end")
      try await lua.prepare(neighbour)
      let error = try await failure { try await lua.call(hostile, [true], milliseconds: 20_000) }
      #expect(
        error?.message == "one operation of the interpreter took more than 20 ms of processor time")
      let refused = try await failure { try await lua.call(hostile, [false]) }
      #expect(refused?.exception == .unavailable)
      #expect(refused?.retryAfterMilliseconds != nil)
      let sum = try await lua.call(neighbour, [1, 2])
      #expect(sum == [3])
    }
  }
}
