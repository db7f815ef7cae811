internal import Glibc
internal import RPCNetwork
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// Opens a stream socket to a server: finds its addresses again, tries them one after the other without
/// blocking the loop, and tells the outcome exactly once unless it is cancelled. The caller bounds its time.
internal final class Connector: EventHandler {
  internal typealias Completion = (Result<Int32, RPCError>) -> Void

  private let loop: EventLoop
  private let server: Topology.Server
  private let source: SourceAddress
  private var completion: Completion?
  private var addresses: [SocketAddress] = []
  private var position = 0
  private var socket: Int32 = -1
  private var watch: Watch?
  private var failures: [(address: SocketAddress, reason: String)] = []

  /// Starts to connect. `completion` takes the raw descriptor over; it may run before this returns.
  internal init(
    to server: Topology.Server, from source: SourceAddress, on loop: EventLoop,
    completion: @escaping Completion
  ) {
    self.loop = loop
    self.server = server
    self.source = source
    self.completion = completion
  }

  internal func start() {
    if let literal = SocketAddress(ip: server.host, port: Int(server.port)) {
      addresses = [literal]
      return tryNext()
    }
    resolve()
  }

  /// The system's resolver blocks, so it gets a thread, which a name that is asked for rarely can afford.
  private func resolve() {
    let (host, port, mailbox) = (server.host, Int(server.port), loop.mailbox)
    // Touched again on the loop only.
    nonisolated(unsafe) let connector = self
    do throws(SystemError) {
      try LoopThread.spawn(name: "rpc-resolve") {
        let outcome: Result<[SocketAddress], SystemError>
        do throws(SystemError) {
          outcome = .success(try SocketAddress.resolve(host: host, port: port))
        } catch {
          outcome = .failure(error)
        }
        mailbox.post { _ in connector.resolved(outcome) }
      }
    } catch {
      finish(.failure(RPCError(.unavailable, "\(error): \(server.label)")))
    }
  }

  private func resolved(_ outcome: Result<[SocketAddress], SystemError>) {
    switch outcome {
    case .success(let found):
      addresses = found
      tryNext()
    case .failure(let error):
      finish(.failure(RPCError(.unavailable, "\(error.plainReason): \(server.label)")))
    }
  }

  private func tryNext() {
    guard completion != nil else { return }
    while position < addresses.count {
      let address = addresses[position]
      position += 1
      do {
        let descriptor = try Socket.connect(to: address, from: try source.address(toReach: address))
        source.configure(descriptor.raw)
        watch = try loop.watch(descriptor.raw, .writable, self)
        socket = descriptor.release()
        return
      } catch {
        failures.append((address, source.explain(error)))
      }
    }
    finish(.failure(.noConnection(to: server, failures)))
  }

  internal func ready(_ readiness: Readiness, on loop: EventLoop) {
    if let watch { loop.unwatch(watch) }
    watch = nil
    let descriptor = socket
    socket = -1
    if let code = Socket.pendingError(of: descriptor) {
      _ = Glibc.close(descriptor)
      let address = addresses[position - 1]
      failures.append(
        (address, source.explain(SystemError(code: code, operation: .connect(to: "\(address)")))))
      return tryNext()
    }
    finish(.success(descriptor))
  }

  /// Stops; the completion is not called.
  internal func cancel() {
    completion = nil
    if let watch { loop.unwatch(watch) }
    watch = nil
    if socket >= 0 { _ = Glibc.close(socket) }
    socket = -1
  }

  private func finish(_ result: Result<Int32, RPCError>) {
    guard let completion else {
      if case .success(let descriptor) = result { _ = Glibc.close(descriptor) }
      return
    }
    self.completion = nil
    completion(result)
  }
}
