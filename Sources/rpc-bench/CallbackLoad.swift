import RPCClient
import RPCSystem
import RPCTransport
import RPCWire
import Synchronization

/// Calls by callbacks: each answer starts the next call on the client's own thread, or in the open loop a
/// pacing thread starts them when they are due.
final class CallbackLoad: Load {
  private let clients: [RPCClient]
  private let recorders: [Recorder]
  private let ending: Countdown

  init(plan: LoadPlan, shape: CallShape, control: LoadControl) throws {
    let clients = (0..<plan.connections).map { _ in plan.makeClient() }
    let recorders = clients.map { _ in Recorder(control: control) }
    self.clients = clients
    self.recorders = recorders
    let ending = Countdown(control.isPaced ? 1 : plan.connections * plan.outstanding)
    self.ending = ending
    let lanes = try zip(clients, recorders).map { client, recorder in
      try Lane(
        client: client, plan: plan, shape: shape, recorder: recorder, control: control, ending: ending)
    }
    if control.isPaced {
      try LoopThread.spawn(name: "pace") { Self.pace(lanes, control, ending) }
    } else {
      for lane in lanes {
        for _ in 0..<plan.outstanding { lane.goOn(Clock.now()) }
      }
    }
  }

  func waitUntilEnded() { ending.wait() }

  func measurements() -> Measurements {
    for client in clients { client.closeBlocking() }
    return recorders.reduce(into: Measurements()) { $0.add($1.value) }
  }

  /// Starts each call when it is due. It spins: a sleeping thread would be late by more than a call takes.
  private static func pace(_ lanes: [Lane], _ control: LoadControl, _ ending: Countdown) {
    var turn = 0
    while !control.isExhausted {
      while let due = control.nextDue(now: Clock.now()) {
        lanes[turn % lanes.count].once(due)
        turn += 1
      }
    }
    ending.leave()
  }

  /// The calls of one client. A class, since every call's callback holds it.
  private final class Lane: Sendable {
    let client: RPCClient
    let shape: CallShape
    let procedure: RemoteProcedure?
    let name: String
    let options: CallOptions
    let recorder: Recorder
    let control: LoadControl
    let ending: Countdown

    init(
      client: RPCClient, plan: LoadPlan, shape: CallShape, recorder: Recorder, control: LoadControl,
      ending: Countdown
    ) throws {
      self.ending = ending
      self.client = client
      self.shape = shape
      self.recorder = recorder
      self.control = control
      name = plan.procedure
      options = plan.callOptions
      procedure = try RemoteProcedure(client, plan, shape)
    }

    /// Starts the next call of the closed loop.
    func goOn(_ now: UInt64) {
      guard let start = control.next(now: now) else { return ending.leave() }
      call(since: start)
    }

    /// Starts one call of the open loop.
    func once(_ due: UInt64) {
      ending.enter()
      call(since: due)
    }

    private func call(since start: UInt64) {
      switch (shape, procedure) {
      case (.pair(let left, let right), let procedure?):
        client.start(procedure, left, right, options: options) { (result: Result<(Int), RPCError>) in
          self.ended(result, start)
        }
      case (.echo(let bytes), let procedure?):
        client.start(procedure, bytes, options: options) { (result: Result<(Bytes), RPCError>) in
          self.ended(result, start)
        }
      case (.values(let values), _):
        client.start(name, values, options: options) { result in self.ended(result, start) }
      case (_, nil): preconditionFailure("a typed shape has a procedure")
      }
    }

    private func ended(_ result: Result<some Any, RPCError>, _ start: UInt64) {
      let now = Clock.now()
      recorder.record(result, start: start, end: now)
      if control.isPaced { ending.leave() } else { goOn(now) }
    }
  }
}

extension RemoteProcedure {
  /// The typed procedure of a shape, nil where there is none.
  init?(_ client: RPCClient, _ plan: LoadPlan, _ shape: CallShape) throws {
    switch shape {
    case .pair: self = try client.procedure(plan.procedure, taking: Int.self, Int.self, returning: Int.self)
    case .echo: self = try client.procedure(plan.procedure, taking: Bytes.self, returning: Bytes.self)
    case .values: return nil
    }
  }
}

/// Opens once everybody who entered has left.
final class Countdown: Sendable {
  private let inside: Atomic<Int>
  private let finished = Latch()

  init(_ count: Int) {
    inside = Atomic(count)
  }

  func enter() {
    inside.wrappingAdd(1, ordering: .relaxed)
  }

  func leave() {
    if inside.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 { finished.signal() }
  }

  func wait() { finished.wait() }
}
