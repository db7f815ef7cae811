import Foundation
import RPCSystem

/// A directory that goes with its test, whatever is in it; at the latest with the process, for those that a suite
/// keeps. What a link in it points to stays.
public final class TemporaryDirectory: Sendable {
  public let path: String

  /// - Parameter inMemory: whether it may be where nothing reaches a disk, for tests that sync a thousand times.
  public init(inMemory: Bool = false) {
    let base = inMemory && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    var template = Array("\(base)/rpc-test.XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { preconditionFailure("no temporary directory in \(base)") }
    path = String(cString: made)
    Self.kept.withLock { _ = $0.insert(path) }
    _ = Self.removesAtExit
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
    Self.kept.withLock { _ = $0.remove(path) }
  }

  private static let kept = Lock<Set<String>>([])
  private static let removesAtExit = atexit {
    for path in kept.withLock({ $0 }) { try? FileManager.default.removeItem(atPath: path) }
  }

  /// Where a file of this name is, or would be.
  public func file(_ name: String) -> String { "\(path)/\(name)" }

  /// Writes a file, making the directories on the way; returns its path.
  @discardableResult
  public func write(_ text: String, to name: String) throws -> String {
    let file = file(name)
    try FileManager.default.createDirectory(
      atPath: String(file[..<(file.lastIndex(of: "/") ?? file.endIndex)]), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(fileURLWithPath: file))
    return file
  }

  public func read(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: file(name))), as: UTF8.self)
  }

  public func makeDirectory(_ name: String) throws {
    try FileManager.default.createDirectory(atPath: file(name), withIntermediateDirectories: true)
  }

  public func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }
}
