import ArgumentParser
import RPCServer

/// The flags of TLS.
struct TLSArguments: ParsableArguments {
  enum Mode: String, ExpressibleByArgument, CaseIterable {
    case off, offered, required
  }

  @Option(name: .customLong("tls"), help: "Whether clients may, or must, speak TLS 1.3.")
  var mode = Mode.off

  @Option(
    name: .customLong("tls-certificate"),
    help: ArgumentHelp(
      "A certificate in PEM with those that lead to its authority; several are chosen from by the name asked for "
        + "(default: one of its own in the data directory).", valueName: "file"), completion: .file())
  var certificates: [String] = []

  @Option(
    name: .customLong("tls-key"),
    help: ArgumentHelp("The private key of each --tls-certificate, in the same order.", valueName: "file"),
    completion: .file())
  var keys: [String] = []

  @Option(
    name: .customLong("tls-client-ca"),
    help: ArgumentHelp("Certificates in PEM of authorities that vouch for clients.", valueName: "file"),
    completion: .file())
  var clientAuthorities: String?

  func checkTogether() throws {
    guard certificates.count == keys.count else {
      throw ValidationError(
        "each --tls-certificate needs its --tls-key: there are \(certificates.count) and \(keys.count)")
    }
    // Who gives a certificate does not mean to serve plainly.
    guard mode == .off else { return }
    for (flag, isGiven) in [
      ("--tls-certificate", !certificates.isEmpty), ("--tls-client-ca", clientAuthorities != nil),
    ] where isGiven {
      throw ValidationError("\(flag) needs --tls offered or --tls required")
    }
  }

  var options: TLSOptions {
    var options = TLSOptions()
    options.mode = TLSOptions.Mode(rawValue: mode.rawValue) ?? .off
    options.certificates = zip(certificates, keys).map { TLSOptions.Files(certificate: $0, key: $1) }
    options.clientAuthorities = clientAuthorities
    return options
  }
}
