import Foundation
import Testing

/// Files are small, limits are written down, and the version is said once.
@Suite("Files and limits")
struct FileTests {
  static let linesMax = 400

  @Test("no file has more than 400 lines")
  func lengths() throws {
    let files = Checkout.files(
      in: "Sources", "Tests", "Benchmarks", "Examples",
      endings: [".swift", ".c", ".h", ".py", ".lua"])
    #expect(files.count > 300)
    // What protoc's plugin wrote is as long as it is.
    for file in files where !file.hasSuffix(".pb.swift") {
      let count = try Checkout.text(file).split(separator: "\n", omittingEmptySubsequences: false).count - 1
      #expect(count <= Self.linesMax, "\(file) has \(count) lines")
    }
  }

  /// The constants of files named `…Limits.swift`: each with its file and its value as it is written there.
  static func limits() throws -> [(name: String, file: String, value: String)] {
    try Checkout.files(in: "Sources", endings: ["Limits.swift"]).flatMap { file in
      let pattern = #/(?m)^ *(?:public |package )?(?:static )?(?:let|var) (\w+)(?:: [\w.?]+)? = ([^\n{]+)$/#
      return try Checkout.text(file).matches(of: pattern).map {
        (String($0.output.1), file, $0.output.2.trimmingCharacters(in: .whitespaces))
      }
    }
  }

  @Test("Docs/LIMITS.md has every limit with its value, and no other")
  func limitsAreDocumented() throws {
    let document = try Checkout.text("Docs/LIMITS.md")
    var rows =
      document.split(separator: "\n").filter { $0.hasPrefix("| `") }.compactMap { line -> String? in
        let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        return cells.count >= 3 ? "\(cells[0]) | \(cells[1])" : nil
      }
    let limits = try Self.limits()
    #expect(limits.count > 80)
    for limit in limits {
      let row = "`\(limit.name)` | `\(limit.value)`"
      // Two files may have a limit of the same name and value.
      guard let index = rows.firstIndex(of: row) else {
        Issue.record("\(limit.file): \(row) is not in Docs/LIMITS.md")
        continue
      }
      rows.remove(at: index)
    }
    #expect(rows == [], "no such limit is in the sources")
  }

  @Test("the version is written in one place of the sources")
  func version() throws {
    let release = try Checkout.text("Sources/RPCWire/Release.swift")
    let match = try #require(release.firstMatch(of: #/version = "([\d.]+)"/#))
    let version = String(match.output.1)
    for file in Checkout.files(
      in: "Sources", "Scripts", "Clients", endings: [".swift", ".py", ".c", ".h", ".sh"])
    where file != "Sources/RPCWire/Release.swift" {
      #expect(!(try Checkout.text(file)).contains("\"\(version)\""), "\(file)")
    }
    #expect(try Checkout.text("CHANGELOG.md").contains("\n## \(version)"), "what is new in \(version)?")
  }

  @Test(
    "what the root's documents link to is there",
    arguments: ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
  func links(_ file: String) throws {
    for match in try Checkout.text(file).matches(of: #/\]\(([^)#:]+)(#[^)]*)?\)/#) {
      #expect(
        FileManager.default.fileExists(atPath: "\(Checkout.root)/\(match.output.1)"), "\(match.output.1)")
    }
    for match in try Checkout.text(file).matches(
      of: #/`((?:Sources|Tests|Docs|Scripts|Benchmarks|Clients)/[^`*… ]+)`/#)
    {
      #expect(
        FileManager.default.fileExists(atPath: "\(Checkout.root)/\(match.output.1)"), "\(match.output.1)")
    }
  }

  @Test("each claim of Docs/SECURITY.md names tests that there are")
  func claims() throws {
    let tests = try Checkout.files(in: "Tests", endings: [".swift"]).map { try Checkout.text($0) }
    let names = Set(
      try Checkout.text("Docs/SECURITY.md").matches(of: #/`(\w+Tests)`/#).map { String($0.output.1) })
    #expect(names.count > 15)
    for name in names {
      #expect(tests.contains { $0.contains("struct \(name)") }, "there is no \(name)")
    }
  }

  @Test("the walks of Docs/DESIGN.md pass files that exist")
  func walks() throws {
    let walks = try Checkout.text("Docs/DESIGN.md").components(separatedBy: "\n### ").dropFirst()
    #expect(walks.count == 4)
    for walk in walks {
      let text = walk.components(separatedBy: "\n## ")[0]
      let files = text.matches(of: #/`([\w-]+\/[\w\/+.-]+\.\w+)`/#).map { String($0.output.1) }
      #expect(files.count >= 8, "\(text)")
      for file in files {
        #expect(FileManager.default.fileExists(atPath: "\(Checkout.root)/Sources/\(file)"), "\(file)")
      }
    }
  }
}
