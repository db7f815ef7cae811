import Foundation
import TestSupport

/// A terminal that a test types into and reads from.
///
/// `@unchecked Sendable`: what its thread writes is guarded by the condition.
final class TypedTerminal: @unchecked Sendable {
  /// What a program opens.
  let path: String
  private let descriptor: Int32
  private let condition = NSCondition()
  private var screen: [UInt8] = []

  init() throws {
    (descriptor, path) = try PseudoTerminal.open()
    Thread.detachNewThread { [self] in collect() }
  }

  private func collect() {
    var buffer = [UInt8](repeating: 0, count: 4096)
    // EIO is what a terminal says when nobody has it open, before the program as well as after it.
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      if count <= 0 { break }
      condition.withLock {
        screen += buffer[..<count]
        condition.broadcast()
      }
    }
    close(descriptor)
  }

  func type(_ keys: String) { _ = write(descriptor, keys, keys.utf8.count) }

  /// Waits until `text` has been shown since the last wait.
  func waitFor(_ text: String) throws {
    let deadline = Date(timeIntervalSinceNow: ChildProcess.timeoutSeconds)
    condition.lock()
    defer { condition.unlock() }
    while true {
      let shown = String(decoding: screen, as: UTF8.self)
      if let found = shown.range(of: text) {
        screen = Array(shown[found.upperBound...].utf8)
        return
      }
      guard condition.wait(until: deadline) else {
        throw Failure("the terminal never showed '\(text)': \(shown)")
      }
    }
  }

  /// Waits until `find` finds something in what has been shown since the last wait, and takes all of that.
  func take<Found>(_ what: String, _ find: (String) -> Found?) throws -> Found {
    let deadline = Date(timeIntervalSinceNow: ChildProcess.timeoutSeconds)
    condition.lock()
    defer { condition.unlock() }
    while true {
      let shown = String(decoding: screen, as: UTF8.self)
      if let found = find(shown) {
        screen = []
        return found
      }
      guard condition.wait(until: deadline) else {
        throw Failure("the terminal never showed \(what): \(shown)")
      }
    }
  }
}
