import Foundation
import Testing

/// Which target may import which: Docs/DESIGN.md has the table, and the sources obey it.
@Suite("Imports")
struct ImportTests {
  /// What every target may import: parts of Swift and of the operating system.
  static let everywhere: Set = ["Glibc", "Synchronization", "Swift"]
  static let programs: Set = ["rpc-server", "initializer", "rpc-client", "rpc-bench"]

  /// The table: what each target may import.
  static func allowed() throws -> [(target: String, modules: [String])] {
    try Checkout.table(below: "## Which target imports which", in: "Docs/DESIGN.md").map { row in
      (Checkout.names(row[0]).first ?? row[0], Checkout.names(row[1]))
    }
  }

  struct Import {
    let file: String
    let target: String
    let module: String
  }

  static func imports() throws -> [Import] {
    // What protoc's plugin wrote imports what SwiftProtobuf needs itself.
    try Checkout.files(in: "Sources", endings: [".swift"]).filter { !$0.hasSuffix(".pb.swift") }.flatMap {
      file in
      let target = String(file.split(separator: "/")[1])
      let pattern =
        #/(?m)^[ \t]*(?:@\w+(?:\([^)]*\))?[ \t]+)*(?:\w+[ \t]+)?import[ \t]+(?:(?:struct|class|func|enum|protocol|var|let|typealias)[ \t]+)?(\w+)/#
      return try Checkout.text(file).matches(of: pattern).map {
        Import(file: file, target: target, module: String($0.output.1))
      }
    }
  }

  @Test("every target has one row, and every row a target")
  func rows() throws {
    let targets = try FileManager.default.contentsOfDirectory(atPath: "\(Checkout.root)/Sources")
      .filter { !$0.hasPrefix(".") }
    #expect(try Self.allowed().map(\.target).sorted() == targets.sorted())
  }

  @Test("a row names targets of earlier rows only: imports point down")
  func order() throws {
    var seen: Set<String> = []
    let targets = Set(try Self.allowed().map(\.target))
    for row in try Self.allowed() {
      for module in row.modules where targets.contains(module) {
        #expect(seen.contains(module), "\(row.target) imports \(module), whose row is below")
      }
      seen.insert(row.target)
    }
  }

  @Test("a file imports what its target's row has, and every entry of a row is imported")
  func sourcesObey() throws {
    let rows = try Self.allowed()
    let imports = try Self.imports()
    #expect(imports.count > 300)
    for row in rows {
      let used = imports.filter { $0.target == row.target && !Self.everywhere.contains($0.module) }
      for one in used where !row.modules.contains(one.module) {
        Issue.record("\(one.file) imports \(one.module), which the row of \(row.target) does not have")
      }
      let unused = Set(row.modules).subtracting(used.map(\.module))
      #expect(unused == [], "nothing in \(row.target) imports these any more")
    }
  }

  @Test("Package.swift gives a target what its row has, and nothing else of this package")
  func manifest() throws {
    let manifest = try Checkout.text("Package.swift")
    let targets = Set(try Self.allowed().map(\.target))
    for row in try Self.allowed() {
      let head = try Regex("arget\\(\\s*name: \"\(row.target)\"")
      let start = try #require(manifest.firstMatch(of: head), "\(row.target) is not in Package.swift")
      let rest = manifest[start.range.upperBound...]
      let description = rest[..<(rest.range(of: "arget(")?.lowerBound ?? rest.endIndex)]
      let named = Set(description.matches(of: #/"([\w-]+)"/#).map { String($0.output.1) })
      #expect(named.intersection(targets) == Set(row.modules).intersection(targets), "\(row.target)")
    }
  }

  @Test("nothing below the programs uses Foundation, which costs start time and memory")
  func foundation() throws {
    for one in try Self.imports() where !Self.programs.contains(one.target) {
      #expect(!one.module.hasPrefix("Foundation"), "\(one.file)")
    }
  }

  @Test("no module is imported that a package keeps for itself")
  func innerModules() throws {
    let products = Set(
      try Checkout.text("Package.swift").matches(of: #/\.product\(name: "(\w+)"/#).map {
        String($0.output.1)
      })
    let targets = Set(try Self.allowed().map(\.target))
    for one in try Self.imports() {
      if targets.contains(one.module) || Self.everywhere.contains(one.module) { continue }
      #expect(
        products.contains(one.module) || one.module.hasPrefix("Foundation"),
        "\(one.file) imports \(one.module), which is not a product of a package")
    }
  }
}
