internal import Glibc
internal import RPCNetwork
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// What callers are told that the client itself finds out: cause first, then which server.
extension RPCError {
  /// The call's time is over.
  ///
  /// - Parameter cause: why the last attempt failed, where one did.
  internal static func noAnswer(
    within timeout: Duration?, executed: Executed, after cause: RPCError? = nil
  ) -> RPCError {
    var message = "no answer within \((timeout ?? .zero).brief)"
    if executed == .maybe {
      message += executed.clause
    } else if let cause {
      message += ": \(cause.message)"
    }
    return RPCError(.deadlineExceeded, message, executed: executed)
  }

  /// The connection ended while it was in use.
  internal static func lostConnection(to server: Topology.Server, _ reason: CloseReason) -> RPCError {
    switch reason {
    case .local, .peer:
      return RPCError(.unavailable, "connection closed by \(server.label)", executed: .maybe)
    // Its certificate is another's.
    case .failed(let error) where error.code == EKEYREJECTED:
      return RPCError(.unauthenticated, "\(server.label) is not trusted: \(error.reason)", executed: .no)
    case .failed(let error):
      return RPCError(.unavailable, "\(error.plainReason): \(server.label)", executed: .maybe)
    }
  }

  /// The server has a connection and does not answer on it.
  internal static func noPong(from server: Topology.Server, within time: Duration) -> RPCError {
    RPCError(
      .unavailable, "\(server.label) has stopped answering: no PONG within \(time.brief)", executed: .maybe)
  }

  /// There is a connection, and nothing came on it.
  internal static func noHello(from server: Topology.Server, within time: Duration) -> RPCError {
    RPCError(.unavailable, "nothing came within \(time.brief) of connecting: \(server.label)")
  }

  /// The server has sent GOAWAY.
  internal static func shuttingDown(_ server: Topology.Server, _ reason: String) -> RPCError {
    RPCError(.unavailable, "\(server.label) is shutting down" + (reason.isEmpty ? "" : ": \(reason)"))
  }

  /// The ids of a procedure were out of date again and again.
  internal static func everStale(_ server: Topology.Server, _ times: Int) -> RPCError {
    RPCError(.unavailable, "\(server.label) changed its procedures \(times) times during the call")
  }

  /// None of a server's addresses could be connected to.
  ///
  /// - Parameter failures: each address that was tried, and why it did not do.
  internal static func noConnection(
    to server: Topology.Server, _ failures: [(address: SocketAddress, reason: String)]
  ) -> RPCError {
    guard let first = failures.first else {
      return RPCError(.unavailable, "'\(server.host)' has no address: \(server.label)")
    }
    if failures.allSatisfy({ $0.reason == first.reason }) {
      return RPCError(.unavailable, "\(first.reason): \(server.label)")
    }
    let reasons = failures.map { "\($0.reason) at \($0.address)" }.joined(separator: "; ")
    return RPCError(.unavailable, "\(reasons): \(server.label)")
  }

  /// The server sent what it must not.
  ///
  /// - Parameter first: what it sent first, where it has not said HELLO yet.
  internal static func brokenProtocol(
    by server: Topology.Server, _ error: WireError, first: RawSpan? = nil
  ) -> RPCError {
    let message: String
    if let first, let found = ForeignServer.recognise(first) {
      message = "\(server.label) is not an rpc-server: \(found); check its address and port"
    } else if first != nil {
      message = "\(server.label) does not speak this protocol: \(error)"
    } else {
      message = "\(server.label) broke the protocol: \(error)"
    }
    return RPCError(.protocolError, message, executed: first == nil ? .maybe : .no)
  }
}

extension RPCError {
  /// The error without the server's name and address in its message, for where these stand beside it: `connection
  /// refused`.
  package func beside(_ server: Topology.Server?) -> RPCError {
    guard let label = server?.label, let place = message.firstRange(of: label) else { return self }
    // What leads to the name goes with it: a colon, or a word such as "by".
    let before = message[..<place.lowerBound].dropLast()
    let lead = before.lastIndex(of: before.last == ":" ? ":" : " ") ?? before.startIndex
    let kept = before[..<lead]
    let after = message[place.upperBound...]
    var error = self
    error.message = String(kept.isEmpty ? after.drop { $0 == " " || $0 == ":" } : kept + after)
    return error
  }
}

extension SystemError {
  /// The reason as it stands inside a sentence: `connection refused`.
  internal var plainReason: String {
    guard let first = reason.unicodeScalars.first, reason.dropFirst().first?.isUppercase == false else {
      return reason
    }
    return first.properties.lowercaseMapping + reason.dropFirst()
  }
}

extension Topology.Server {
  /// How messages name it: `server 's1' (127.0.0.1:8181)`.
  internal var label: String {
    host.contains(":") ? "server '\(name)' ([\(host)]:\(port))" : "server '\(name)' (\(host):\(port))"
  }
}

extension Duration {
  /// As people write it: `300 ms`, `5 s`, `1.5 s`.
  internal var brief: String {
    let microseconds = Int(nanoseconds / 1000)
    let (value, scale, unit) =
      switch microseconds {
      case ..<1000: (microseconds, 1, "us")
      case ..<1_000_000: (microseconds, 1000, "ms")
      default: (microseconds / 1000, 1000, "s")
      }
    var digits = String(scale + value % scale).dropFirst()
    while digits.last == "0" { digits.removeLast() }
    return "\(value / scale)" + (digits.isEmpty ? "" : ".\(digits)") + " \(unit)"
  }
}
