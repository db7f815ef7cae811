import Foundation
import TestSupport
import Testing

@Suite("initializer try", .serialized)
struct TrialTests {
  private static let python = """
    import os, socket, sys, time, rpc

    def concat(a, b): return "%s%s" % (a, b)

    def add(a, b): return a + b

    def half(a): return a / 2

    def sums(numbers, words): return sum(numbers), " ".join(words)

    def say(text):
        print("printed " + text)
        rpc.log("logged " + text)
        return text

    def fail(): raise ValueError("no luck")

    def nap(seconds):
        print("napping", flush=True)
        time.sleep(seconds)

    def eat(): return len(bytearray(1 << 30))

    def dial(): socket.socket()

    def given(): return [os.environ["REGION"], rpc.secret("db")]

    def inner(depth): return 0 if depth == 0 else 1 + rpc.call(None, "text.inner", depth - 1)

    def outer(): return rpc.call(None, "other.one")

    def leave(): os._exit(3)
    """

  private static let file = """
    network:
      servers: [s1: {ip: 127.0.0.1, port: 1}]
      clients: [me: {ip: 127.0.0.1}]
    service:
      - text:
          providers: [s1]
          tenants: [me]
          rpcs: [concat, add, half, sums, say, fail, nap, eat, dial, inner, outer, leave, double]
      - given: {providers: [s1], tenants: [me], rpcs: [given], env: {REGION: north}, secrets: [db]}
      - other: {providers: [s1], tenants: [me], rpcs: [one]}
      - broken: {providers: [s1], tenants: [me], rpcs: [syntax, hinted]}
    rpc:
      text:
        - concat: {args: [int, str], returns: [str], src: t.py}
        - concat: {args: [int, int], returns: [int], src: t.py, function: add}
        - add: {args: [a: int, b: int], returns: [int], src: t.py}
        - half: {args: [float], returns: [float], src: t.py}
        - sums: {args: ["List[int]", "List[str]"], returns: [int, str], src: t.py}
        - say: {args: [str], returns: [str], src: t.py}
        - fail: {args: [], returns: [], src: t.py}
        - nap: {args: [float], returns: [], src: t.py, timeout: 500ms}
        - eat: {args: [], returns: [int], src: t.py, memory: 64MiB}
        - dial: {args: [], returns: [], src: t.py}
        - inner: {args: [int], returns: [int], src: t.py}
        - outer: {args: [], returns: [int], src: t.py}
        - leave: {args: [], returns: [], src: t.py}
        - double: {args: [int], returns: [int], src: t.lua}
      given:
        - given: {args: [], returns: ["List[str]"], src: t.py}
      other:
        - one: {args: [], returns: [int], src: o.py}
      broken:
        - syntax: {args: [], returns: [], src: syntax.py}
        - hinted: {args: [int], returns: [], src: hinted.py}
    """

  private let folder = TemporaryDirectory()

  init() throws {
    try folder.write(Self.python, to: "t.py")
    try folder.write("function double(a) return 2 * a end\n", to: "t.lua")
    try folder.write("def one(): return 1\n", to: "o.py")
    try folder.write("def syntax(): return )\n", to: "syntax.py")
    try folder.write("\ndef hinted(a: str): pass\n", to: "hinted.py")
    try folder.write(Self.file, to: "init.yaml")
  }

  private func attempt(_ words: String..., input: ChildProcess.Input = .none) throws -> Outcome {
    try run(Programs.initializer, ["try", "--file", folder.file("init.yaml")] + words, input: input)
  }

  @Test("a procedure is run with the values that the shell would read, and its overload is a server's")
  func values() throws {
    try folder.write("from a file", to: "text")
    for (words, result) in [
      (["text.concat", "32", "hello"], "32hello\n"), (["text.concat", "32", "33"], "65\n"),
      (["text.concat(int, str)", "32", "33"], "3233\n"), (["text.concat", "1", "two words"], "1two words\n"),
      (["text.concat", "-5", "x"], "-5x\n"),
      (["text.concat", "1", "@\(folder.file("text"))"], "1from a file\n"),
      (["text.add", "b=1", "a=-2"], "-1\n"), (["text.half", "3"], "1.5\n"),
      (["text.double", "0x10"], "32\n"),
      (["text.sums", "[1, 2]", #"["a", "b"]"#], "3\na b\n"), (["text.inner", "3"], "3\n"),
      (["text.concat", "1", "x | y > z"], "1x | y > z\n"),
    ] {
      let outcome = try run(Programs.initializer, ["try", "--file", folder.file("init.yaml")] + words)
      #expect(outcome.output == result && outcome.ending == .code(0), "\(words): \(outcome)")
    }
    let piped = try attempt("text.concat", "1", "-", input: .text("from stdin"))
    #expect(piped.output == "1from stdin\n", "\(piped)")
    let json = try attempt("--json", "text.sums", "[1, 2]", "[a, b]")
    #expect(
      json.output.hasPrefix(#"{"procedure":"text.sums","server":"local","values":[3,"a b"],"elapsed_us":"#),
      "\(json)")
  }

  @Test("what it prints goes to standard error, and what fails says so as a server would")
  func failures() throws {
    let said = try attempt("text.say", "hello")
    #expect(said.output == "hello\n")
    #expect(said.errors.contains("printed hello\n") && said.errors.contains("logged hello\n"), "\(said)")
    let raised = try attempt("text.fail")
    #expect(raised.ending == .code(1) && raised.output == "", "\(raised)")
    #expect(raised.errors.contains("ExecutionException: ValueError: no luck (t.py:16)"), "\(raised)")
    let json = try attempt("text.fail", "--json")
    #expect(json.ending == .code(1))
    #expect(
      json.output.contains(#""exception":"ExecutionException","message":"ValueError: no luck""#), "\(json)")
    for (words, message) in [
      (["text.leave"], "the procedure ended its worker process with exit status 3"),
      (["text.nap", "60"], "text.nap did not finish within its deadline of 500 ms"),
      (["--timeout", "200ms", "text.nap", "60"], "did not finish within its deadline of 200 ms"),
      (["text.eat"], "MemoryError: the call may use 67108864 bytes"), (["text.dial"], "PermissionError"),
      (["text.outer"], "other.one is of another service, which takes a server"),
      (["broken.syntax"], "SyntaxError"), (["broken.hinted", "1"], "hinted as str, but declared as int"),
      (["given.given"], "start it with --secrets DIR"), (["text.inner", "20"], "16 deep"),
    ] {
      let outcome = try run(Programs.initializer, ["try", "--file", folder.file("init.yaml")] + words)
      #expect(outcome.ending == .code(1) && outcome.errors.contains(message), "\(words): \(outcome)")
    }
  }

  @Test("what is wrong with the line, the file or the arguments is found before anything is run")
  func wrongInput() throws {
    for (words, message) in [
      (["text.concat", "x", "y"], "text.concat(int, str) -> str"),
      (["text.concat", "1"], "missing argument"),
      (["text.add", "a=1", "c=2"], "no overload has arguments of these names"),
      (["text.conct", "1", "2"], "did you mean 'concat'?"), (["txt.concat", "1"], "did you mean 'text'?"),
      (["concat", "1"], "write SERVICE.NAME"), (["text.sums", "[1,", "[]"], "'[1,' is not finished"),
      (["--timeout", "soon", "text.fail"], "--timeout is a time above 0"),
      (["--secrets", folder.file("absent"), "text.fail"], "cannot be read"),
      (["text.concat", "1", "@\(folder.file("absent"))"], "cannot read"), ([], "Missing expected argument"),
    ] {
      let outcome = try run(Programs.initializer, ["try", "--file", folder.file("init.yaml")] + words)
      #expect(outcome.ending == .code(2) && outcome.errors.contains(message), "\(words): \(outcome)")
    }
    try folder.write(
      Self.file.replacingOccurrences(of: "[int, str]", with: "[int, string]"), to: "wrong.yaml")
    let wrong = try run(
      Programs.initializer, ["try", "--file", folder.file("wrong.yaml"), "text.concat", "1", "x"])
    #expect(wrong.ending == .code(2) && wrong.errors.contains("unknown type 'string'"), "\(wrong)")
  }

  @Test("variables and secrets are given as by a server")
  func given() throws {
    chmod(try folder.write("hunter2\n", to: "secrets/db"), 0o600)
    chmod(folder.file("secrets"), 0o700)
    let outcome = try attempt("--secrets", folder.file("secrets"), "--json", "given.given")
    #expect(outcome.output.contains(#""values":[["north","hunter2"]]"#), "\(outcome)")
  }

  @Test("an interrupt ends it with all that it started")
  func interrupt() throws {
    try folder.write(Self.file.replacingOccurrences(of: ", timeout: 500ms", with: ""), to: "long.yaml")
    let process = try ChildProcess(
      Programs.initializer,
      ["try", "--file", folder.file("long.yaml"), "--timeout", "10m", "text.nap", "600"])
    defer { process.signalGroup(SIGKILL) }
    try process.waitForLine("napping", on: .errors)
    process.signal(SIGINT)
    #expect(try process.waitForEnd() == .code(130))
    #expect(process.errorText.contains("interrupted"))
  }
}
