internal import CLinux
internal import Glibc

/// Tells the service manager that started this program how it is, in the datagrams of sd_notify(3).
///
/// Each message has a socket of its own: they are rare, and the manager may have been replaced meanwhile.
package struct ServiceNotifier: Sendable {
  /// What `NOTIFY_SOCKET` names: a path, or behind `@` an abstract address.
  private let address: String
  /// How often the manager wants to hear `isAlive` at least, in microseconds; nil for never.
  package let watchdogMicroseconds: UInt64?

  package init(address: String, watchdogMicroseconds: UInt64? = nil) {
    self.address = address
    self.watchdogMicroseconds = watchdogMicroseconds
  }

  /// The one that the environment names, whose variables are removed, since they are for this process alone; nil where
  /// there is none. Call it before other threads run.
  package static func take() -> ServiceNotifier? {
    let variables = ServiceVariables.take(["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"])
    guard let address = variables["NOTIFY_SOCKET"] else { return nil }
    var watchdog = variables["WATCHDOG_USEC"].flatMap { UInt64($0) }
    if let process = variables["WATCHDOG_PID"], process != "\(getpid())" { watchdog = nil }
    if watchdog == 0 { watchdog = nil }
    return ServiceNotifier(address: address, watchdogMicroseconds: watchdog)
  }

  // MARK: Messages

  /// It serves, after the start or a reload.
  package func isReady(status: String) throws(SystemError) {
    try send(["READY=1", "STATUS=\(Self.line(status))"])
  }

  /// It reads its files again; `isReady` ends that.
  package func isReloading() throws(SystemError) {
    // The monotonic time tells the manager which of its requests this answers.
    try send(["RELOADING=1", "MONOTONIC_USEC=\(SystemClock.monotonicNanoseconds() / 1000)"])
  }

  /// It ends, which may take that long.
  package func isStopping(withinMicroseconds limit: UInt64) throws(SystemError) {
    try send(["STOPPING=1", "EXTEND_TIMEOUT_USEC=\(limit)", "STATUS=draining"])
  }

  /// All of it still works. Never waits: one that is lost is made up for by the next.
  package func isAlive() throws(SystemError) { try send(["WATCHDOG=1"], waits: false) }

  /// One line for people.
  package func tell(status: String) throws(SystemError) { try send(["STATUS=\(Self.line(status))"]) }

  /// Has the manager keep a duplicate of a descriptor, for this service's next process.
  package func keep(_ descriptor: Int32, named name: String) throws(SystemError) {
    try send(["FDSTORE=1", "FDNAME=\(name)"], descriptor: descriptor)
  }

  /// Has the manager close what it keeps by this name.
  package func forget(named name: String) throws(SystemError) {
    try send(["FDSTOREREMOVE=1", "FDNAME=\(name)"])
  }

  /// Each line of a message is a variable.
  private static func line(_ text: String) -> String {
    String(text.map { $0.isNewline ? " " : $0 })
  }

  // MARK: Sending

  private func send(
    _ lines: [String], descriptor: Int32? = nil, waits: Bool = true
  ) throws(SystemError) {
    let operation: SystemError.Operation = "tell the service manager at '\(address)'"
    let raw = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard raw >= 0 else { throw .last(operation) }
    let socket = Descriptor(raw)
    guard var name = sockaddr_un(notifying: address) else {
      throw SystemError(code: EINVAL, operation: operation)
    }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + address.utf8.count)
    let connected = withUnsafePointer(to: &name) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket.raw, $0, length) }
    }
    guard connected == 0 else { throw .last(operation) }
    let message = Array(lines.joined(separator: "\n").utf8)
    while true {
      let count =
        if let descriptor {
          rpc_send_descriptor(socket.raw, message, message.count, descriptor)
        } else {
          Glibc.send(
            socket.raw, message, message.count,
            Int32(MSG_NOSIGNAL) | (waits ? 0 : Int32(MSG_DONTWAIT)))
        }
      if count >= 0 { return }
      if errno != EINTR { throw .last(operation) }
    }
  }
}

extension sockaddr_un {
  /// A path, or an abstract address whose first byte stands there as `@`; nil where it is neither or too long.
  fileprivate init?(notifying address: String) {
    self.init()
    sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(address.utf8)
    guard bytes.count > 1, bytes.count < MemoryLayout.size(ofValue: sun_path),
      bytes[0] == UInt8(ascii: "/") || bytes[0] == UInt8(ascii: "@")
    else { return nil }
    withUnsafeMutableBytes(of: &sun_path) { path in
      path.copyBytes(from: bytes)
      if bytes[0] == UInt8(ascii: "@") { path[0] = 0 }
    }
  }
}
