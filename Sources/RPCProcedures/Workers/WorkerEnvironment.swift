internal import Glibc

/// The environment of workers. The server's may hold secrets; procedures get only what programs need to run at all.
package enum WorkerEnvironment {
  package static var variables: [String] {
    let names = ["PATH", "TZ", "TMPDIR"]
    return ["LANG=C.UTF-8"]
      + names.compactMap { name in getenv(name).map { "\(name)=\(String(cString: $0))" } }
  }
}
