import Foundation
import RPCWire
import TestSupport
import Testing

@Suite("The manual pages")
struct ManualTests {
  static let pages = ["man8/rpc-server.8", "man1/initializer.1", "man1/rpc-client.1", "man1/rpc-bench.1"]

  @Test("each page has every flag and no command that is not there, and mandoc and man find nothing wrong")
  func pages() throws {
    let folder = TemporaryDirectory()
    let written = try run(
      "\(Programs.repository)/Scripts/manuals", [folder.path],
      environment: ["RPC_BIN_DIR": Programs.directory, "SOURCE_DATE_EPOCH": "1700000000"])
    #expect(written.ending == .code(0), "\(written)")
    for page in Self.pages {
      let lint = try run("mandoc", ["-T", "lint", "-W", "warning", folder.file(page)])
      #expect(lint.ending == .code(0) && lint.output.isEmpty, "\(lint)")
      let man = try run(
        "man", ["--warnings", "-l", folder.file(page)], environment: ["LC_ALL": "C.UTF-8", "PAGER": "cat"])
      #expect(man.ending == .code(0) && man.errors.isEmpty, "\(man)")
      let program = String(page.split(separator: "/")[1].split(separator: ".")[0])
      let text = try run("mandoc", ["-T", "ascii", "-O", "width=300", folder.file(page)]).output
        .replacing(#/.\u{8}/#, with: "")
      #expect(text.contains("November 14, 2023"), "\(page)")
      let json = try Value(
        json: try run("\(Programs.directory)/\(program)", ["--experimental-dump-help"]).output)
      let command = try #require(json["command"])
      let commands = (command["subcommands"]?.listValue ?? []).filter {
        $0["commandName"]?.stringValue != "help"
      }
      for argument in ([command] + commands).flatMap({ $0["arguments"]?.listValue ?? [] })
      where argument["shouldDisplay"]?.boolValue == true {
        for name in argument["names"]?.listValue ?? [] {
          let dashes = name["kind"]?.stringValue == "long" ? "--" : "-"
          #expect(text.contains(dashes + (name["name"]?.stringValue ?? "?")), "\(page)")
        }
      }
      #expect(text.contains("\nCOMMANDS\n") == !commands.isEmpty, "\(page)")
      for name in commands.compactMap({ $0["commandName"]?.stringValue }) {
        #expect(text.contains("\(program) \(name)"), "\(page)")
      }
      #expect(text.contains("EXIT STATUS") || program == "rpc-bench", "\(page)")
    }
  }
}
