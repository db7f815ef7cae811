import RPCServer
import RPCSystem
import RPCTransport
import RPCWire

/// A server inside the test with closures that say when they run and end when they are told.
final class TestServer: Sendable {
  let server: Server
  let gate: AsyncGate
  /// Holds calls of `test.deaf`, which take no notice of being cancelled.
  let deafGate: AsyncGate
  /// Holds calls of `any.hold` with the thread that they are on.
  let latch: Latch

  init(_ change: (inout ServerOptions) -> Void = { _ in }) throws {
    let gate = AsyncGate()
    self.gate = gate
    let deafGate = AsyncGate()
    self.deafGate = deafGate
    let latch = Latch()
    self.latch = latch
    var options = ServerOptions()
    options.loops = 2
    options.drainTimeoutMilliseconds = 5_000
    change(&options)
    server = try Server(
      host: "127.0.0.1", port: 0,
      procedures: [
        NativeProcedure("math.add", idempotent: true) { (a: Int, b: Int) -> Int in a &+ b },
        NativeProcedure("text.echo") { (text: String) -> String in text },
        NativeProcedure("data.echo") { (bytes: Bytes) -> Bytes in bytes },
        NativeProcedure("data.fill") { (count: Int) -> Bytes in Bytes([UInt8](repeating: 7, count: count)) },
        NativeProcedure("test.raise") { () throws -> Int in throw Refusal() },
        NativeProcedure(suspending: "test.wait") { () async throws -> String in
          try await gate.wait()
          return "opened"
        },
        NativeProcedure(suspending: "test.keep") { (bytes: Bytes) async throws -> Int in
          try await gate.wait()
          return bytes.storage.count
        },
        NativeProcedure(suspending: "test.deaf") { () async throws -> Void in
          // In a task of its own, which nobody cancels.
          try await Task.detached { try await deafGate.wait() }.value
        },
        NativeProcedure("any.echo") { (value: Value) -> Value in value },
        NativeProcedure("any.hold") { (value: Value) -> Int in
          latch.wait()
          return value.listValue?.count ?? 0
        },
        NativeProcedure(suspending: "list.sum") { (numbers: [Int]) async throws -> Int in
          numbers.reduce(0, &+)
        },
      ], options: options)
    try server.start()
  }

  var port: Int { server.port }

  deinit {
    latch.signal()
    server.stopNow()
  }

  struct Refusal: Error, CustomStringConvertible {
    var description: String { "no, and no again" }
  }
}

/// Holds calls until it is opened, and tells how many wait and how many were cancelled.
final class AsyncGate: Sendable {
  private struct State {
    var isOpen = false
    var waiting: [Int: CheckedContinuation<Void, any Error>] = [:]
    var next = 0
    var cancelled = 0
    var watchers: [(Int, Int, CheckedContinuation<Void, Never>)] = []
  }

  private let state = Lock(State())

  func wait() async throws {
    let number = state.withLock { state in
      state.next += 1
      return state.next
    }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let isOpen = state.withLock { state in
          if !state.isOpen { state.waiting[number] = continuation }
          return state.isOpen
        }
        if isOpen { continuation.resume() }
        if Task.isCancelled { cancel(number) }
        notify()
      }
    } onCancel: {
      cancel(number)
    }
  }

  private func cancel(_ number: Int) {
    let continuation = state.withLock { state in
      let continuation = state.waiting.removeValue(forKey: number)
      if continuation != nil { state.cancelled += 1 }
      return continuation
    }
    continuation?.resume(throwing: CancellationError())
    notify()
  }

  func open() {
    let waiting = state.withLock { state in
      state.isOpen = true
      defer { state.waiting = [:] }
      return Array(state.waiting.values)
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Returns once `waiting` calls wait and `cancelled` have been cancelled.
  func reached(waiting: Int, cancelled: Int = 0) async {
    await withCheckedContinuation { continuation in
      state.withLock { state in state.watchers.append((waiting, cancelled, continuation)) }
      notify()
    }
  }

  private func notify() {
    let due = state.withLock { state in
      let due = state.watchers.filter { state.waiting.count >= $0.0 && state.cancelled >= $0.1 }
      state.watchers.removeAll { state.waiting.count >= $0.0 && state.cancelled >= $0.1 }
      return due
    }
    for watcher in due { watcher.2.resume() }
  }
}
