import RPCClient
import RPCWire
import TestSupport
import Testing

/// No answer shows where something is in the memory or in the files of the server's machine.
@Suite("What callers are not told")
struct PrivacyTests {
  /// A procedure's body, and what its caller is told.
  private typealias Case = (name: String, body: String, told: String)

  private static let python: [Case] = [
    ("p_missing_module", "import numpyx", "No module named 'numpyx'"),
    ("p_missing_name", "from json import nothing", "cannot import name 'nothing' from 'json'"),
    ("p_module", "import json; raise ValueError(json)", "<module 'json'"),
    ("p_builtin", "raise ValueError(print, len)", "<built-in function print>"),
    ("p_object", "raise ValueError([object(), (lambda: 0), (x for x in [])])", "<object object>"),
    ("p_method", "raise ValueError(threading.Lock().acquire, Some().go)", "<bound method Some.go of"),
    ("p_frame", "raise ValueError(sys._getframe(), sys._getframe().f_code)", "<frame, file 'test.py'"),
    ("p_trace", "raise ValueError(trace())", #"File "test.py""#),
    ("p_library_trace", "raise ValueError(library_trace())", "json/decoder.py"),
    ("p_file", "open('data.txt')", "No such file or directory: 'data.txt'"),
    ("p_directory", "raise ValueError(os.getcwd(), __file__, sys.argv)", "test.py"),
    ("p_copy", "shutil.copy('a', 'b')", "No such file or directory: 'a'"),
    ("p_program", "subprocess.run(['no-such-program'])", "No such file or directory: 'no-such-program'"),
    ("p_syntax", "exec('def f(:')", "SyntaxError"),
    ("p_compile", "compile('x = = 1', __file__, 'exec')", "(test.py, line 1)"),
    ("p_shared_object", "ctypes.CDLL('nothing.so')", "nothing.so: cannot open shared object file"),
    ("p_key", "{}[Some()]", "Some object"),
    ("p_argument", "(lambda a: a)()", "missing 1 required positional argument"),
    ("p_group", "raise ExceptionGroup('many', [ValueError(object())])", "many (1 sub-exception)"),
    ("p_pickle", "pickle.dumps(lambda: 0)", "pickle"),
    ("p_deep", "deep()", "recursion"),
    ("p_memory", "bytearray(10**12)", "MemoryError"),
    ("p_unsendable", "return Some()", "returned [Some]"),
    ("p_unsendable_list", "return [Some(), print]", "returned [List["),
    ("p_wrong_type", "return 5", "returned [int], but declares [str]"),
    ("p_many_values", "return 'a', 'b'", "returned"),
    ("p_bad_text", "return '\\ud800'", ""),
    ("p_exits", "sys.exit('bye')", "SystemExit: bye"),
    ("p_ends", "os._exit(3)", "exit status 3"),
    ("p_killed", "os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    ("p_endless", "while True: pass", "did not finish within its deadline"),
    ("p_calls", "rpc.call('s1', 'test.p_missing_name')", "cannot import name 'nothing' from 'json'"),
    ("p_calls_none", "rpc.call('s1', 'test.nothing')", "nothing"),
    ("p_log", "print(object()); raise ValueError(sys.stdout, sys.stdin)", "ValueError"),
  ]

  private static let pythonSource =
    """
    import ctypes, json, os, pickle, shutil, signal, subprocess, sys, threading, traceback
    import rpc

    class Some:
        def go(self): pass

    def deep(): deep()

    def trace():
        try: 1 / 0
        except Exception: return traceback.format_exc()

    def library_trace():
        try: json.loads("{")
        except Exception: return traceback.format_exc()


    """ + python.map { "def \($0.name)():\n    \($0.body)\n" }.joined(separator: "\n")

  private static let lua: [Case] = [
    ("l_function", "error(tostring(print))", "function: "),
    ("l_table", "error(tostring({}) .. tostring(l_table))", "table: "),
    ("l_pointer", "error(string.format('%p %p %s', {}, print, {}))", "table: "),
    ("l_values", "error({code = 5, call = print, list = {{}}})", "code = 5"),
    ("l_thrown", "error(print)", "function"),
    ("l_caught", "local _, e = pcall(error, print); error(tostring(e))", "function: "),
    ("l_nil", "local x = nil; x()", "attempt to call a nil value"),
    ("l_arithmetic", "return {} + print", "arithmetic"),
    ("l_assert", "assert(false, {})", "{}"),
    ("l_unsendable", "return print", "function"),
    ("l_unsendable_list", "return {print}", "List[function]"),
    ("l_deep", "local function f() return f() .. 'x' end return f()", ""),
    ("l_long", "return string.rep('x', 1e10)", "too long"),
    ("l_endless", "while true do end", "did not finish within its deadline"),
    ("l_named", "error(setmetatable({}, {__name = 'Kind'}))", ""),
    ("l_argument", "string.rep(print, {})", "bad argument"),
    ("l_calls", "rpc.call('s1', 'test.p_missing_name')", "cannot import name 'nothing' from 'json'"),
  ]

  private static let luaSource = lua.map { "function \($0.name)()\n  \($0.body)\nend\n" }.joined()

  /// What shows a place in memory or on disk in a text, nil for nothing.
  private static func place(in text: String) -> String? {
    let match = text.firstMatch(of: #/0x[0-9a-fA-F]{6,}|(?:^|[^\w.<\/])(\/[\w.+-]+\/[\w.+-]*)/#)
    return match.map { String($0.output.0) }
  }

  private func network() throws -> Network {
    let network = try Network()
    try network.directory.write(Self.pythonSource, to: "test.py")
    try network.directory.write(Self.luaSource, to: "test.lua")
    let entries = [(Self.python, "test.py"), (Self.lua, "test.lua")].flatMap { cases, source in
      cases.map { entry in
        let isEndless = entry.name.hasSuffix("endless")
        return "    - \(entry.name): {args: [], returns: [str], src: \(source)"
          + (isEndless ? ", timeout: 200ms}" : "}")
      }
    }
    try network.describe(
      """
      service:
        - test:
            providers: [s1]
            tenants: [me]
            rpcs: [\((Self.python + Self.lua).map(\.name).joined(separator: ", "))]
      rpc:
        test:
      \(entries.joined(separator: "\n"))
      """)
    try network.deploy()
    return network
  }

  @Test("errors of procedures show no place in the server's memory or files, in either dialect")
  func procedures() async throws {
    let network = try network()
    let lines = try network.lines()
    let client = network.client()
    for (name, _, told) in Self.python + Self.lua {
      let answer = try lines.call("test.\(name)")
      let message = try #require(answer.exceptionMessage, "\(name): \(answer)")
      #expect(told.isEmpty || message.contains(told), "\(name): \(message)")
      #expect(Self.place(in: message) == nil, "\(name): \(message)")
      do throws(RPCError) {
        let text: String = try await client.call("test.\(name)")
        Issue.record("\(name) answered \(text)")
      } catch {
        #expect(Self.place(in: "\(error.message) \(error.source ?? "")") == nil, "\(name): \(error)")
      }
    }
    await client.close()
  }

  @Test(
    "neither do the errors of calls that reach no procedure",
    arguments: [
      ("nothing.at_all", "[]"), ("test.nothing", "[]"), ("test.endles", "[1]"),
      ("test.endless", #"[{"a":1}]"#),
      ("system.source", "[]"), ("system.source", #"["\/etc\/passwd"]"#), ("system.deploy_begin", "[]"),
      ("system.deploy_status", "[1]"), ("system.nothing", "[]"),
    ])
  func calls(procedure: String, arguments: String) throws {
    let network = try Network()
    try network.deployPython(["endless: {args: [], returns: [str]}"], source: "def endless(): pass\n")
    let message = try network.lines().call(procedure, arguments).exceptionMessage
    #expect(
      Self.place(in: try #require(message).replacing("/etc/passwd", with: "")) == nil, "\(message ?? "")")
  }

  @Test(
    "nor what the initializer is told of a source that cannot be loaded",
    arguments: [
      ("from json import nothing\ndef f(): pass\n", "cannot import name 'nothing' from 'json'"),
      ("import numpyx\ndef f(): pass\n", "No module named 'numpyx'"),
      ("def f(:\n  pass\n", "test.py"), ("f = 5\n", "'f'"),
      ("raise ValueError(object(), open)\ndef f(): pass\n", "ValueError"),
      ("import os\nos._exit(3)\n", ""),
    ])
  func sources(source: String, told: String) throws {
    let network = try Network()
    try network.directory.write(source, to: "test.py")
    try network.describe(
      """
      service:
        - test: {providers: [s1], tenants: [me], rpcs: [f]}
      rpc:
        test:
          - f: {args: [], returns: [str], src: test.py}
      """)
    let outcome = try network.initialize()
    #expect(outcome.ending != .code(0))
    // The paths of the deployer's own files are not secret.
    let text = (outcome.output + outcome.errors).replacing(network.file, with: "init.yaml")
      .replacing("\(network.directory.path)/test.py", with: "test.py")
    #expect(text.contains(told), "\(text)")
    #expect(Self.place(in: text) == nil, "\(text)")
  }
}
