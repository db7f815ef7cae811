import Glibc
import RPCSystem
import TestSupport
import Testing

@testable import RPCShell

/// A server that keeps its connection and answers nothing, as one does that was stopped with SIGSTOP.
@Suite(.serialized) struct FrozenServerTests {
  @Test("servers and the prompt agree about a server that does not answer, and when it answers again")
  func frozen() throws {
    Terminal.chooseLocale()
    let folder = TemporaryDirectory()
    let port = try LiveNetwork.freePort()
    let server = try ChildProcess.start([
      "/usr/bin/env", "XDG_STATE_HOME=\(folder.path)",
      try Built.program("rpc-server"), "127.0.0.1", "\(port)",
    ])
    defer {
      kill(server.id, SIGKILL)
      _ = server.wait()
    }
    try folder.write("network:\n  servers:\n    - s1: {ip: 127.0.0.1, port: \(port)}\n", to: "init.yaml")
    let terminal = try TerminalSession(
      [try Built.program("rpc-client"), "--config", folder.path + "/init.yaml"])
    try terminal.waitForPrompt()
    try terminal.wait(for: "1/1 up", seconds: 60)

    kill(server.id, SIGSTOP)
    // Nobody has asked for it: the prompt finds out by itself, and servers says the same.
    try terminal.wait(for: "* s1 does not answer", seconds: 60)
    try terminal.wait("the prompt to count it as down") { $0.currentLine.hasSuffix("0/1 up") }
    terminal.send("servers\r")
    try terminal.wait("the table") { $0.text.contains("s1      down   127.0.0.1:\(port)") }
    try terminal.wait("the same at the prompt") { $0.currentLine.hasSuffix("0/1 up") }

    kill(server.id, SIGCONT)
    try terminal.wait("the prompt to count it again", seconds: 60) { $0.currentLine.hasSuffix("1/1 up") }
    terminal.send("servers\r")
    try terminal.wait("the table") { $0.text.contains("s1      up     127.0.0.1:\(port)") }

    // Now servers is the first to find out.
    kill(server.id, SIGSTOP)
    terminal.send("clear-is-no-command\rservers\r")
    try terminal.wait("both to say so", seconds: 60) { screen in
      screen.currentLine.hasSuffix("0/1 up")
        && screen.text.split(separator: "\n").last { $0.hasPrefix("s1 ") }?.contains(" down ") == true
    }
    kill(server.id, SIGCONT)
    terminal.send("\u{4}")
    #expect(try terminal.waitForEnd() == 0)
  }
}
