import Foundation
import TestSupport
import Testing

@testable import RPCKeys

@Suite("The key that a user deploys with")
struct DeployKeyTests {
  @Test(
    "is below the configuration directory, else below the home of the environment or of the password file",
    arguments: [
      ("/config", "/home/me", "/root", "/config/simplerpc/deploy-key"),
      (nil, "/home/me", "/root", "/home/me/.config/simplerpc/deploy-key"),
      ("", "/home/me", "/root", "/home/me/.config/simplerpc/deploy-key"),
      // The XDG specification has relative paths ignored.
      ("config", "/home/me", "/root", "/home/me/.config/simplerpc/deploy-key"),
      (nil, nil, "/root", "/root/.config/simplerpc/deploy-key"),
      (nil, "", "/root", "/root/.config/simplerpc/deploy-key"),
      (nil, nil, nil, nil), (nil, "", "", nil), ("x", "y", "z", nil),
    ] as [(String?, String?, String?, String?)])
  func path(configHome: String?, home: String?, passwordHome: String?, wanted: String?) throws {
    func found() throws(KeyError) -> String {
      try DeployKey.path(configHome: configHome, home: home) { passwordHome }
    }
    if let wanted {
      #expect(try found() == wanted)
    } else {
      let error = #expect(throws: KeyError.self) { try found() }
      #expect(error?.message.contains("has no home directory") == true)
    }
  }

  @Test("is trusted by servers only where nobody else could have written it")
  func trusted() throws {
    let directory = TemporaryDirectory()
    let folder = directory.file("simplerpc")
    let path = "\(folder)/deploy-key.pub"
    let missing = #expect(throws: KeyError.self) { try DeployKey.trusted(at: path) }
    #expect(missing?.message == "user '\(DeployKey.userName)' has no deploy key yet (\(path))")
    try directory.makeDirectory("simplerpc")
    let key = try KeyFile.ownKey(at: "\(folder)/deploy-key", comment: "")
    #expect(try DeployKey.trusted(at: path) == [key.publicKey])
    for mode: mode_t in [0o720, 0o702] {
      chmod(folder, mode)
      let error = #expect(throws: KeyError.self) { try DeployKey.trusted(at: path) }
      #expect(
        error?.message == "\(folder) may be written by others than its owner: chmod go-w '\(folder)'")
    }
    chmod(folder, 0o700)
    for mode: mode_t in [0o620, 0o602] {
      chmod(path, mode)
      let error = #expect(throws: KeyError.self) { try DeployKey.trusted(at: path) }
      #expect(error?.message == "\(path) may be written by others than its owner: chmod go-w '\(path)'")
    }
    chmod(path, 0o600)
    // Somebody else's, where these tests may give files away.
    if chown(path, 12345, 12345) == 0 {
      let error = #expect(throws: KeyError.self) { try DeployKey.trusted(at: path) }
      #expect(error?.message.contains("belongs to another user than '\(DeployKey.userName)'") == true)
      chown(path, geteuid(), getegid())
    }
    #expect(try DeployKey.trusted(at: path) == [key.publicKey])
    try directory.write("rubbish\n", to: "simplerpc/deploy-key.pub")
    chmod(path, 0o600)
    #expect(throws: KeyError.self) { try DeployKey.trusted(at: path) }
  }
}
