import Foundation
import Testing

/// Every command of README and Docs runs, in the order shown, in a copy of the checkout with the programs just
/// built, and what is shown is what happens.
@Suite("The commands of the documents", .serialized)
struct DocumentCommandTests {
  /// What cannot run here, and why. One that is no longer there fails the test.
  static let notRun: [(file: String, step: String, reason: String)] = [
    (
      "README.md", "rpc> call s1 math.add 1  no such procedure on s1, but on s2, s3",
      "the words behind the line appear while it is typed; the tests of the prompt have them"
    ),
    ("README.md", "Scripts/package", "Scripts/check-package makes packages"),
    (
      "README.md", "sudo apt install ./.build-package/simplerpc_*.deb",
      "Scripts/check-package does it in a Debian of its own"
    ),
    (
      "README.md", "sudo systemctl enable --now simplerpc@default",
      "Scripts/check-package does it in a Debian of its own"
    ),
    (
      "README.md", "initializer key | sed -n 2p | sudo tee -a /etc/simplerpc/deployers",
      "Scripts/check-package does it in a Debian of its own"
    ),
    (
      "README.md", "sudo systemctl reload simplerpc@default",
      "Scripts/check-package does it in a Debian of its own"
    ),
    (
      "Docs/SHELL.md", "rpc> clock.wait 30",
      "the key is pressed while the call runs; the tests of the prompt have it"
    ),
    (
      "Docs/DEPLOYMENT.md", "rpc-server 10.0.0.7 8181 --deployers deployers",
      "an address of another machine; README does the same on this one"
    ),
    ("Docs/DEPLOYMENT.md", "initializer --key ops", "it deploys to that server; the tests of keys do it"),
    (
      "Docs/OPERATIONS.md",
      "rpc-server 10.0.0.7 8181 --data /var/lib/simplerpc --log-file /var/log/simplerpc.log",
      "an address and directories of another machine; the tests of the server have the options"
    ),
    ("Docs/PERFORMANCE.md", "Benchmarks/run", "it takes ten minutes and a release build"),
    (
      "Docs/PERFORMANCE.md",
      "Benchmarks/run --with ours,c,redis-ping,redis-get,redis-fcall,grpc-cpp,grpc-swift,capnproto",
      "it builds other systems"
    ),
    (
      "Docs/PERFORMANCE.md",
      "Benchmarks/run --with ours-http,nginx,ours-grpc,c-grpc,grpc-cpp --tables none --check",
      "it installs other systems"
    ),
    (
      "Docs/PERFORMANCE.md", "Benchmarks/run --with ours-lua,redis-fcall --tables lua-sources --check",
      "it installs redis and takes a release build"
    ),
    (
      "Docs/PERFORMANCE.md", "Benchmarks/run --with ours,c --seconds 0.4 --repeat 15 --check",
      "it takes ten minutes and a release build"
    ),
  ]

  @Test("every command of a document runs as it is shown", arguments: try DocumentBlock.files())
  func commands(_ file: String) throws {
    let blocks = try DocumentBlock.all(in: file)
    let listed = Set(Self.notRun.filter { $0.file == file }.map(\.step))
    var found: Set<String> = []
    let names = ["8181", "8282", "8383", "6000", "6001"]
    let reader = try DocumentReader(ports: names.map { ($0, "\(try FreePort.take())") })
    for block in blocks {
      for step in try block.steps() {
        if listed.contains(step.text) {
          found.insert(step.text)
          continue
        }
        let difference = try reader.perform(step)
        #expect(difference == nil, "\(block.place): \(step.text)\n\(difference ?? "")")
      }
    }
    try reader.closeShell()
    #expect(listed == found, "not in \(file) any more: take it out of the list of what is not run")
  }
}
