import Glibc
import RPCKeys
import TestSupport
import Testing

@testable import RPCTLS

@Suite("Files with a certificate and its key")
struct IdentityFileTests {
  private static let locked =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
  private static let lockedOld =
    "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END EC PRIVATE KEY-----\n"

  /// Writes the files, and says what is wrong with them.
  private func problem(certificate: String?, key: String?, mode: mode_t = 0o600) throws -> String {
    let directory = TemporaryDirectory()
    if let certificate { try directory.write(certificate, to: "it.pem") }
    if let key { chmod(try directory.write(key, to: "it.key"), mode) }
    do throws(KeyError) {
      _ = try TLSIdentity(certificate: directory.file("it.pem"), key: directory.file("it.key"))
      return ""
    } catch {
      return error.description.replacing(directory.path + "/", with: "")
    }
  }

  @Test("what is wrong with one of them is told with its name, and how to mend it")
  func problems() throws {
    let secret = try TLSIdentity.makeKey()
    let chain = try TLSIdentity.makeCertificate(
      key: secret, name: "test", addresses: ["127.0.0.1"], hosts: ["localhost"])
    let (certificate, key) = (String(decoding: chain, as: UTF8.self), String(decoding: secret, as: UTF8.self))
    #expect(try problem(certificate: certificate, key: key) == "")
    for (given, words) in [
      ((certificate, nil), "'it.key' cannot be read: No such file or directory"),
      ((nil, key), "'it.pem' cannot be read: No such file or directory"),
      ((certificate, certificate), "'it.key' holds no private key in PEM ('-----BEGIN PRIVATE KEY-----')"),
      (
        (key, key),
        "it.pem holds no certificate in PEM ('-----BEGIN CERTIFICATE-----') (the key is in it.key)"
      ),
      ((certificate, "x"), "'it.key' holds no private key in PEM ('-----BEGIN PRIVATE KEY-----')"),
    ] as [((String?, String?), String)] {
      #expect(try problem(certificate: given.0, key: given.1) == words)
    }
    for text in [Self.locked, Self.lockedOld] {
      #expect(
        try problem(certificate: certificate, key: text).contains(
          "the private key in 'it.key' is locked with a passphrase"))
    }
    #expect(try problem(certificate: certificate, key: key, mode: 0o644).contains("chmod o= 'it.key'"))
    // Who mistakes one for the other is not told to change rights.
    #expect(try problem(certificate: key, key: certificate, mode: 0o644).contains("holds no private key"))
  }
}
