import Foundation
import RPCSystem
import RPCTransport
import TestSupport
import Testing

@testable import RPCKeys

@Suite("A program's own key, made at its first use")
struct OwnKeyTests {
  private static func names(in directory: TemporaryDirectory) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
  }

  private static func mode(_ path: String) -> mode_t {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
  }

  @Test("is made once, for its owner alone, with its public half beside it, and nothing else stays behind")
  func made() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("key")
    // Whatever the process takes away from new files, or does not.
    let mask = umask(0)
    defer { umask(mask) }
    let key = try KeyFile.ownKey(at: path, comment: "a test")
    #expect(try KeyFile.ownKey(at: path, comment: "a test").publicKey == key.publicKey)
    #expect(try KeyFile.privateKey(at: path).publicKey == key.publicKey)
    #expect(try directory.read("key.pub") == "\(key.publicKey) a test\n")
    #expect(Self.mode(path) == 0o600)
    #expect(Self.mode(path + ".pub") == 0o644)
    #expect(try Self.names(in: directory) == ["key", "key.pub"])
    #expect(try KeyFile.ownKey(at: directory.file("other"), comment: "").publicKey != key.publicKey)
  }

  @Test("is read by ssh-keygen")
  func standard() throws {
    let directory = TemporaryDirectory()
    let key = try KeyFile.ownKey(at: directory.file("key"), comment: "a test")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["ssh-keygen", "-y", "-f", directory.file("key")]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    // 127: this machine has no OpenSSH, and the text is compared with its reader in `made`.
    guard process.terminationStatus != 127 else { return }
    #expect(text == "\(key.publicKey) a test\n")
  }

  @Test("of several that start at once all get the same key")
  func race() throws {
    for round in 0..<50 {
      let directory = TemporaryDirectory(inMemory: true)
      let path = directory.file("key")
      let found = Lock<[Result<PublicKey, KeyError>]>([])
      let threads = try (0..<8).map { number in
        let done = Latch()
        try LoopThread.spawn(name: "maker-\(number)") {
          do throws(KeyError) {
            let key = try KeyFile.ownKey(at: path, comment: "a test")
            found.withLock { $0.append(.success(key.publicKey)) }
          } catch {
            found.withLock { $0.append(.failure(error)) }
          }
          done.signal()
        }
        return done
      }
      for thread in threads { thread.wait() }
      let keys = try found.withLock { try $0.map { try $0.get() } }
      #expect(keys.count == 8 && Set(keys).count == 1, "round \(round)")
      #expect(try Self.names(in: directory) == ["key", "key.pub"], "round \(round)")
    }
  }

  @Test("a file that cannot be used is named and stays as it is")
  func unusable() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("key")
    let key = try KeyFile.ownKey(at: path, comment: "a test")
    let text = try directory.read("key")
    func expect(_ says: String, _ change: () throws -> Void) throws {
      unlink(path)
      rmdir(path)
      try change()
      let error = #expect(throws: KeyError.self, "\(says)") { try KeyFile.ownKey(at: path, comment: "") }
      #expect(error?.message.contains(path) == true, "\(String(describing: error))")
      #expect(error?.message.contains(says) == true, "\(String(describing: error))")
      #expect(try Self.names(in: directory) == ["key", "key.pub"], "\(says)")
    }
    try expect("not an OpenSSH private key") { try directory.write("", to: "key") }
    try expect("not an OpenSSH private key") {
      try directory.write(String(text.prefix(text.count / 2)), to: "key")
    }
    try expect("this is a public key") { try directory.write("\(key.publicKey)\n", to: "key") }
    try expect("may be read by others than its owner: chmod 600") {
      try directory.write(text, to: "key")
      chmod(path, 0o640)
    }
    try expect("is not a file") { mkdir(path, 0o700) }
    try expect("is not a file") { mkfifo(path, 0o600) }
    try expect("No such file or directory") { symlink("/nowhere/key", path) }
  }

  @Test("a folder that is not there is named")
  func folder() throws {
    let directory = TemporaryDirectory()
    let error = #expect(throws: KeyError.self) {
      try KeyFile.ownKey(at: directory.file("none/key"), comment: "")
    }
    #expect(error?.message == "cannot make \(directory.file("none/key")): No such file or directory")
    try directory.write("", to: "file")
    let other = #expect(throws: KeyError.self) {
      try KeyFile.ownKey(at: directory.file("file/key"), comment: "")
    }
    #expect(other?.message == "cannot read \(directory.file("file/key")): Not a directory")
  }

  @Test("a public half that is lost, old or damaged is written again")
  func publicHalf() throws {
    let directory = TemporaryDirectory()
    let key = try KeyFile.ownKey(at: directory.file("key"), comment: "a test")
    for text in [nil, "", "rubbish\n", "\(PrivateKey.random().publicKey)\n"] {
      if let text { try directory.write(text, to: "key.pub") } else { unlink(directory.file("key.pub")) }
      #expect(try KeyFile.ownKey(at: directory.file("key"), comment: "a test").publicKey == key.publicKey)
      #expect(try directory.read("key.pub") == "\(key.publicKey) a test\n")
    }
  }
}
