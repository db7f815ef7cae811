import TestSupport
import Testing

@testable import RPCShell

@Suite("An init.yaml that changes under the prompt")
struct ChangedFileTests {
  @Test("the shell goes on with it, and keeps the network while the file is wrong")
  func changed() throws {
    Terminal.chooseLocale()
    let network = try LiveNetwork()
    let terminal = try network.terminal(columns: 120)
    try terminal.waitForPrompt()
    try terminal.wait(for: "1/2 up")
    let right = try network.folder.read("init.yaml")
    try network.folder.write(right.replacing("- gone:", with: "- other:"), to: "init.yaml")
    try terminal.wait(for: "has changed: servers +other -gone")
    terminal.send("use other\r")
    try terminal.wait(for: "@other rpc>")
    try network.folder.write("nonsense", to: "init.yaml")
    try terminal.wait(for: "the network stays as it was: ")
    terminal.send("call s1 text.upper hello\r")
    try terminal.wait(for: "HELLO")
    try network.folder.write(right, to: "init.yaml")
    try terminal.wait(for: "servers +gone -other")
    // The server that was chosen is there no more.
    terminal.send("\r")
    try terminal.wait("the prompt without a server") { $0.currentLine.hasPrefix("rpc>") }
    terminal.send("\u{4}")
    #expect(try terminal.waitForEnd() == 0)
  }
}
