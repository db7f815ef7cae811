import RPCProcedures
import Testing

@testable import RPCDeployment

extension InitFileErrorTests {
  private static let text = valid.replacing("rpcs: [f]", with: "rpcs: [f]\n      GIVEN")

  @Test(
    "what a service is given is checked",
    arguments: [
      ("env: {A: 1, B_2: x y, C: 'no', D: \"\"}", nil), ("env: [A: 1, B: 2]", nil),
      ("secrets: [db, a.b-c]", nil), ("python: \"3.12\"", nil), ("python: 3.10", nil),
      ("python: newest", "12:15: 'python' of service 'text' must be a version such as \"3.12\""),
      ("python: /usr/bin/python3.12", "found '/usr/bin/python3.12'"), ("python: 3.12.1", "found '3.12.1'"),
      ("python: 3.012", "found '3.012'"), ("python: \"2.7\"", "found '2.7'"),
      ("python: [3.12]", "found a list"),
      ("requirements: [a]", "12:21: 'requirements' of service 'text' must be a text, found a list"),
      ("env: {1A: x}", "12:13: 'env' of service 'text': a variable has a name of letters"),
      ("env: {TMPDIR: /x}", "12:13: 'env' of service 'text': 'TMPDIR' is the folder that the server gives"),
      ("env: {A: 1, A: 2}", "variable 'A' is declared twice; the first is at line 12"),
      ("env: {A: [1]}", "12:16: 'A' in 'env' of service 'text' must be a text, found a list"),
      ("env: {A: ~}", "must be a text, found"),
      ("env: A", "12:12: 'env' of service 'text' must be a map of 'NAME: value', found 'A'"),
      ("env: [A]", "12:13: an entry of 'env' of service 'text' must be written 'NAME: value', found 'A'"),
      ("secrets: db", "12:16: 'secrets' of service 'text' must be a list of names"),
      ("secrets: [a/b]", "12:17: 'secrets' of service 'text': 'a/b' cannot name a secret"),
      ("secrets: [.a]", "cannot name a secret"), ("secrets: [db, db]", "names 'db' twice in 'secrets'"),
    ])
  func given(line: String, error: String?) throws {
    let found = try Self.errors(Self.text.replacing("GIVEN", with: line))
    guard let error else {
      #expect(found == [])
      return
    }
    #expect(found.count == 1 && found.first?.contains(error) == true, "\(found)")
  }

  @Test("what a service is given may be so much and no more")
  func givenBounds() throws {
    func errors(variables: Int, bytes: Int = 1) throws -> [String] {
      let pairs = (0..<variables).map { "A\($0 + 100): \(String(repeating: "x", count: bytes))" }
      return try Self.errors(Self.text.replacing("GIVEN", with: "env: {\(pairs.joined(separator: ", "))}"))
    }
    #expect(try errors(variables: Provision.variablesMax) == [])
    #expect(try errors(variables: Provision.variablesMax + 1).first?.contains("the limit is 64") == true)
    #expect(try errors(variables: 1, bytes: Provision.environmentBytesMax - 4) == [])
    #expect(
      try errors(variables: 1, bytes: Provision.environmentBytesMax - 3).first?.contains(
        "has 16385 bytes, the limit is 16384") == true)
    func errors(secrets: Int) throws -> [String] {
      let names = (0..<secrets).map { "s\($0)" }.joined(separator: ", ")
      return try Self.errors(Self.text.replacing("GIVEN", with: "secrets: [\(names)]"))
    }
    #expect(try errors(secrets: Provision.secretsMax) == [])
    #expect(try errors(secrets: Provision.secretsMax + 1).first?.contains("the limit is 32") == true)
  }

  @Test("what a service is given goes to its procedures, in one order whatever the file's is")
  func givenOrder() throws {
    func manifest(_ line: String) throws -> Manifest? {
      let text = Self.text.replacing("GIVEN", with: line)
      return try InitFile.parse(Array(text.utf8), path: "init.yaml", checkingSources: false).manifests()["s1"]
    }
    let one = try manifest("env: {B: 2, A: 1}\n      secrets: [y, x]")
    let other = try manifest("secrets: [x, y]\n      env: [A: 1, B: 2]")
    #expect(one == other && one?.digest == other?.digest)
    #expect(
      one?.procedures.first?.confinement.words == ["env=A=1", "env=B=2", "secret=x", "secret=y"])
    let version = try manifest("python: 3.10")
    #expect(version?.procedures.first?.confinement.words == ["python=3.10"])
  }
}
