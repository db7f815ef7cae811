import Glibc
import RPCSystem
import RPCTransport
import TestSupport
import Testing

@testable import RPCShell

/// What `help` shows works: every example of every command, on the network of the repository.
@Suite(.serialized) struct ExampleTests {
  /// What must have happened before an example makes sense.
  private static let before: [String: String] = [
    "wait": "clock.wait 0.05 &\nclock.wait 0.05 &\n", "cancel": "clock.wait 30 &\n",
    "record stop": "record smoke.rpc\n",
    "replay": "record smoke.rpc\ntext.shout hello\nrecord stop\n",
  ]

  @Test("every command has examples, and they work on the network of the repository")
  func examples() throws {
    let network = try ExampleNetwork()
    for command in CommandRegistry.all {
      #expect(!command.examples.isEmpty, "\(command.name) has no example")
      for example in command.examples {
        let prelude = Self.before[example.line] ?? Self.before[command.name] ?? ""
        let result = try network.run(prelude + Self.shortened(example.line) + "\n")
        // Nobody can wait for the end of a watch.
        let isEndless = command.name == "watch" && !example.line.contains("-n")
        #expect(result.status == (isEndless ? 130 : 0), "\(example.line): \(result.out)\(result.err)")
        #expect(!result.err.contains("error"), "\(example.line): \(result.err)")
      }
    }
  }

  /// A short measurement shows as well that the line is right.
  private static func shortened(_ line: String) -> String {
    guard line.hasPrefix("bench ") else { return line.replacing("clock.wait 10", with: "clock.wait 0.1") }
    return "bench -d 100ms " + line.dropFirst(6).replacing("-d 10s", with: "")
  }
}

/// The servers of the repository's init.yaml, on free ports.
private final class ExampleNetwork {
  private let folder: TemporaryDirectory
  private let root: String
  private let settings: String

  init() throws {
    folder = TemporaryDirectory()
    root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let programs = try Built.program("rpc-client").split(separator: "/").dropLast().joined(separator: "/")
    settings = "export RPC_BIN_DIR='/\(programs)' RPC_RUN_DIR='\(folder.path)/run'; cd '\(folder.path)'; "
    var text = String(decoding: try WholeFile.read(root + "/init.yaml", limit: 1 << 20), as: UTF8.self)
    for port in [8181, 8282, 8383, 6000, 6001] {
      text = text.replacing("port: \(port)", with: "port: \(try LiveNetwork.freePort())")
    }
    try folder.write(text, to: "init.yaml")
    try folder.write("# Every night.\ntext.shout hello\n", to: "nightly.rpc")
    guard
      try shell(
        "cp -r '\(root)/services' . && '\(root)/Scripts/servers' start && \"$RPC_BIN_DIR/initializer\"") == 0
    else {
      throw CommandFailure.other("the servers do not start: \((try? folder.read("err")) ?? "")")
    }
  }

  deinit { _ = try? shell("'\(root)/Scripts/servers' stop") }

  /// Runs a script as a user would, in a folder with the file.
  func run(_ script: String) throws -> LiveNetwork.Result {
    unlink(folder.path + "/smoke.rpc")
    try folder.write(script, to: "in")
    let program = script.contains("watch servers") ? "timeout --preserve-status -s INT 1 " : ""
    let status = try shell("\(program)\"$RPC_BIN_DIR/rpc-client\" <in")
    return LiveNetwork.Result(out: try folder.read("out"), err: try folder.read("err"), status: status)
  }

  private func shell(_ command: String) throws -> Int32 {
    // Servers that go on must not hold this test's own output open.
    let files = "exec </dev/null >'\(folder.path)/out' 2>'\(folder.path)/err'; "
    return try ChildProcess.start(["/bin/bash", "-c", files + settings + command]).wait()
  }
}
