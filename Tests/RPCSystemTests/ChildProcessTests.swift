import Glibc
import RPCSystem
import Testing

@Suite("Child processes")
struct ChildProcessTests {
  /// What a command prints to a descriptor, and how it ends.
  private func run(
    _ script: String, environment: [String]? = nil, further: [Int32] = [], alone: Bool = false
  ) throws -> (text: String, status: Int32) {
    let ends = try pair()
    defer { close(ends[0]) }
    let child = try ChildProcess.start(
      ["/bin/sh", "-c", script], environment: environment, descriptors: [-1, ends[1], ends[1]] + further,
      alone: alone)
    close(ends[1])
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let count = read(ends[0], &buffer, buffer.count), count > 0 { text += buffer[..<count] }
    return (String(decoding: text, as: UTF8.self), child.wait())
  }

  private func pair() throws -> [Int32] {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw SystemError.last("socketpair") }
    return ends
  }

  @Test("a status is the program's own, or 128 and the signal's number")
  func status() throws {
    #expect(try run("exit 3").status == 3)
    #expect(try run("kill -9 $$").status == 137)
  }

  @Test("a child has the environment that it is given, or ours")
  func environment() throws {
    #expect(try run("echo $ONE", environment: ["ONE=1"]).text == "1\n")
    setenv("RPC_CHILD_TEST", "ours", 1)
    #expect(try run("echo $RPC_CHILD_TEST").text == "ours\n")
    #expect(try run("echo $RPC_CHILD_TEST", environment: []).text == "\n")
  }

  @Test("descriptors come in the order in which they are given, whatever numbers they have here")
  func order() throws {
    let (first, second) = (try pair(), try pair())
    defer { for end in first + second { close(end) } }
    #expect(write(first[1], "first\n", 6) == 6 && write(second[1], "second\n", 7) == 7)
    let further = [second[0], first[0]]
    #expect(try run("read a <&3; read b <&4; echo $a $b", further: further).text == "second first\n")
  }

  @Test("a child that is alone has a session of its own, and nothing open but what it was given")
  func alone() throws {
    let open = open("/dev/null", O_RDONLY)
    defer { close(open) }
    let script = "[ -e /proc/$$/fd/\(open) ] && echo open; cut -d' ' -f1,6 /proc/$$/stat"
    let inherited = try run(script).text.split(whereSeparator: \.isWhitespace)
    #expect(inherited.count == 3 && inherited[0] == "open" && inherited[1] != inherited[2])
    let own = try run(script, alone: true).text.split(whereSeparator: \.isWhitespace)
    #expect(own.count == 2 && own[0] == own[1])
  }

  @Test("a program that is not there is an error that says so")
  func missing() {
    #expect(throws: SystemError(code: ENOENT, operation: "run no-such-program")) {
      try ChildProcess.start(["no-such-program"])
    }
  }
}
