import RPCSystem
import TestSupport
import Testing

/// The configuration directory of all programs that one test starts, where the deploy key is: never the one of whoever
/// runs the tests, and no other test's.
enum ConfigHome {
  private static let folder = TemporaryDirectory()
  private static let known = Lock<[String: String]>([:])

  static var path: String {
    let test = Test.current.map { "\($0.id)" } ?? ""
    return known.withLock { known in
      if let path = known[test] { return path }
      let path = folder.file("\(known.count)")
      known[test] = path
      return path
    }
  }
}
