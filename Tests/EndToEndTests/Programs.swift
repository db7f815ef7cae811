import Foundation

/// Where the built programs and the repository are.
enum Programs {
  /// The directory of this test run's own build products, so that what is tested is what was built;
  /// `RPC_BIN_DIR` names another.
  static let directory: String = {
    if let given = ProcessInfo.processInfo.environment["RPC_BIN_DIR"] { return given }
    let runner = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "."
    return String(runner[..<(runner.lastIndex(of: "/") ?? runner.endIndex)])
  }()

  static let server = "\(directory)/rpc-server"
  static let initializer = "\(directory)/initializer"
  static let shell = "\(directory)/rpc-client"

  /// The top of the repository.
  static let repository: String = {
    let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    return parts.dropLast(3).joined(separator: "/")
  }()

  static let fixtures = "\(repository)/Tests/Fixtures"
}
