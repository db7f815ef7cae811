internal import Glibc
internal import RPCSystem

/// The environment of workers. The server's may hold secrets; procedures get only what programs need to run at all.
package enum WorkerEnvironment {
  package static var variables: [String] {
    let names = ["PATH", "TZ", "TMPDIR"]
    return ["LANG=C.UTF-8"]
      + names.compactMap { name in getenv(name).map { "\(name)=\(String(cString: $0))" } }
  }

  /// That of what installs packages: also where they are, and how they are reached.
  package static var installerVariables: [String] {
    let names: Set = [
      "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE",
      "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    ]
    return variables
      + ProcessEnvironment.variables.filter { names.contains($0.key) || $0.key.hasPrefix("PIP_") }
      .map { "\($0.key)=\($0.value)" }.sorted()
  }
}
