import RPCClient
import RPCSystem
import RPCTransport
import RPCWire

/// Calls made on the wire itself: one loop, frames written from a template, answers read in place. What a
/// client costs at least.
final class RawLoad: Load {
  private let thread: LoopThread
  private let outcome: RawOutcome

  init(plan: LoadPlan, control: LoadControl) throws {
    let outcome = RawOutcome()
    self.outcome = outcome
    let addresses = try SocketAddress.resolve(host: plan.host, port: Int(plan.port))
    guard let address = addresses.first else {
      throw RPCError(.unavailable, "'\(plan.host)' has no address")
    }
    thread = try LoopThread(name: "load") { loop in
      loop.busyPollNanoseconds = plan.busyPollMicroseconds * 1000
      RawLoop(plan: plan, address: address, control: control, outcome: outcome, loop: loop).start()
    }
  }

  func waitUntilEnded() { outcome.ended.wait() }

  func measurements() throws -> Measurements {
    thread.stop()
    thread.join()
    if let failure = outcome.failure { throw failure }
    return outcome.measurements
  }
}

/// What the loop leaves behind when it has ended.
final class RawOutcome: Sendable {
  let ended = Latch()
  private let state = Lock<(measurements: Measurements, failure: RPCError?)>((Measurements(), nil))

  var measurements: Measurements { state.withLock { $0.measurements } }
  var failure: RPCError? { state.withLock { $0.failure } }

  func end(_ measurements: Measurements, _ failure: RPCError?) {
    state.withLock { $0 = (measurements, failure) }
    ended.signal()
  }
}

/// The connections of a raw load, on their loop's thread.
final class RawLoop {
  let plan: LoadPlan
  let control: LoadControl
  let loop: EventLoop
  var measurements = Measurements()
  private let address: SocketAddress
  private let outcome: RawOutcome
  private var connections: [RawConnection] = []
  private var waiting: Int
  private var turn = 0
  private var hasEnded = false

  init(plan: LoadPlan, address: SocketAddress, control: LoadControl, outcome: RawOutcome, loop: EventLoop) {
    self.plan = plan
    self.address = address
    self.control = control
    self.outcome = outcome
    self.loop = loop
    waiting = plan.connections
  }

  func start() {
    do {
      for _ in 0..<plan.connections {
        let socket = Connection(adopting: try Socket.connect(to: address), on: loop)
        if let filter = try plan.server.makeFilter(as: plan.ownCertificate) { socket.install(filter) }
        let connection = RawConnection(socket, of: self)
        connections.append(connection)
        try connection.start()
      }
    } catch {
      end(RPCError(.unavailable, "\(error)"))
    }
  }

  /// A connection has its procedure's id. The calls begin when all have.
  func isReady() {
    waiting -= 1
    guard waiting == 0 else { return }
    if control.isPaced {
      pace()
    } else {
      for connection in connections { connection.fill() }
      endIfDrained()
    }
  }

  /// Starts the calls that are due, in every turn of the loop, which therefore never sleeps.
  private func pace() {
    while !hasEnded, let due = control.nextDue(now: Clock.now()) {
      connections[turn % connections.count].start(due: due)
      turn += 1
    }
    endIfDrained()
    if !hasEnded { loop.atEndOfTurn { [self] in pace() } }
  }

  func endIfDrained() {
    guard !hasEnded, control.isExhausted, connections.allSatisfy({ $0.inFlight == 0 }) else { return }
    end(nil)
  }

  func end(_ failure: RPCError?) {
    guard !hasEnded else { return }
    hasEnded = true
    // Closed connections call back.
    let open = connections
    connections = []
    for connection in open { connection.close() }
    outcome.end(measurements, failure)
  }
}
