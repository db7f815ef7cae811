/// The version of these programs: what `--version` prints and a HELLO names.
package enum Release {
  package static let version = "1.1.0"
  /// How a HELLO names the program.
  package static let agent = "SimpleRPC/\(version)"
  /// The first version whose servers have keys of their own, and whose clients' proofs cover them.
  package static let firstWithServerKeys = "1.1"
}
