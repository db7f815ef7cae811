internal import ArgumentParser

/// The certificate by which servers know who calls, as every program that calls them takes it.
package struct CertificateOptions: ParsableArguments {
  @Option(
    name: .customLong("tls-certificate"),
    help: ArgumentHelp(
      "A certificate in PEM to show to servers that are spoken to in TLS, where they know callers by it.",
      valueName: "file"),
    completion: .file())
  private var certificate: String?

  @Option(
    name: .customLong("tls-key"),
    help: ArgumentHelp("The private key of --tls-certificate.", valueName: "file"), completion: .file())
  private var key: String?

  package init() {}

  package func validate() throws {
    guard (certificate == nil) == (key == nil) else {
      throw ValidationError("--tls-certificate and --tls-key go together")
    }
  }

  /// The paths of both, nil where there is none.
  package var files: (certificate: String, key: String)? {
    certificate.flatMap { certificate in key.map { (certificate, $0) } }
  }
}
