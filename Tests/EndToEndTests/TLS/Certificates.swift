import Foundation
import TestSupport

/// Certificates that openssl makes for a test.
struct Certificates {
  let directory: TemporaryDirectory

  struct Files {
    let certificate: String
    let key: String

    /// As curl's `--pinnedpubkey` and init.yaml name the key.
    func pin() throws -> String {
      let script = """
        openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary \
        | openssl base64 -A
        """
      let outcome = try EndToEndTests.run("/bin/sh", ["-c", script, "sh", certificate])
      guard outcome.output.count == 44 else { throw Failure("no pin: \(outcome)") }
      return "sha256//\(outcome.output)"
    }

    /// Its Ed25519 key as OpenSSH writes it.
    func publicKey() throws -> String {
      let script =
        "openssl x509 -in \"$1\" -noout -pubkey | openssl pkey -pubin -outform DER | tail -c 32 | base64"
      let outcome = try EndToEndTests.run("/bin/sh", ["-c", script, "sh", certificate])
      guard let bytes = Data(base64Encoded: outcome.output.trimmingCharacters(in: .newlines)),
        bytes.count == 32
      else { throw Failure("no key: \(outcome)") }
      let blob = Data([0, 0, 0, 11]) + Data("ssh-ed25519".utf8) + Data([0, 0, 0, 32]) + bytes
      return "ssh-ed25519 \(blob.base64EncodedString())"
    }
  }

  private func openssl(_ arguments: [String]) throws {
    let outcome = try run("/usr/bin/env", ["openssl"] + arguments)
    guard outcome.ending == .code(0) else { throw Failure("openssl: \(outcome)") }
  }

  /// An authority.
  func authority(_ name: String) throws -> Files {
    let files = Files(certificate: directory.file("\(name).pem"), key: directory.file("\(name).key"))
    try openssl(
      ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "10"]
        + ["-subj", "/CN=\(name)", "-keyout", files.key, "-out", files.certificate])
    return files
  }

  /// A certificate that an authority signed, for `usage`, `clientAuth` or `serverAuth`.
  func signed(
    _ name: String, by authority: Files, usage: String, names: String, days: Int = 10,
    algorithm: String = "ed25519"
  ) throws -> Files {
    let files = Files(certificate: directory.file("\(name).pem"), key: directory.file("\(name).key"))
    let request = directory.file("\(name).csr")
    let extensions = try directory.write(
      "subjectAltName=\(names)\nextendedKeyUsage=\(usage)\n", to: "\(name).ext")
    try openssl(
      ["req", "-newkey", algorithm, "-nodes", "-subj", "/CN=\(name)", "-keyout", files.key, "-out", request])
    try openssl(
      [
        "x509", "-req", "-in", request, "-CA", authority.certificate, "-CAkey", authority.key,
        "-CAcreateserial",
      ]
        + ["-days", "\(days)", "-extfile", extensions, "-out", files.certificate])
    return files
  }

  /// One that is signed with its own key.
  func own(_ name: String) throws -> Files {
    let files = Files(certificate: directory.file("\(name).pem"), key: directory.file("\(name).key"))
    try openssl(
      ["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "10", "-subj", "/CN=\(name)"]
        + ["-addext", "subjectAltName=DNS:\(name)", "-keyout", files.key, "-out", files.certificate])
    return files
  }
}
