/// The version of these programs: what `--version` prints and a HELLO names.
public enum Release {
  public static let version = "1.1.0"
  /// How a HELLO names the program.
  public static let agent = "SimpleRPC/\(version)"
  /// The first version whose servers have keys of their own, and whose clients' proofs cover them.
  public static let firstWithServerKeys = "1.1"
}
