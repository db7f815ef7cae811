import RPCClient
import RPCTransport
import RPCWire
import Synchronization

/// Calls by callbacks: each answer starts the next call on the client's own thread, or in the open loop a
/// pacing thread starts them when they are due.
final class CallbackLoad: Load {
  private let clients: [RPCClient]
  private let recorders: [Recorder]
  private let ending: Countdown

  init(plan: LoadPlan, shape: CallShape, stage: Stage) throws {
    let clients = (0..<plan.connections).map { _ in plan.makeClient() }
    let recorders = clients.map { _ in Recorder(stage: stage) }
    self.clients = clients
    self.recorders = recorders
    let lanes = try zip(clients, recorders).map { client, recorder in
      Lane(
        call: try StartedCall(client: client, plan: plan, shape: shape), recorder: recorder, stage: stage)
    }
    if stage.isPaced {
      let ending = Countdown(1)
      self.ending = ending
      try LoopThread.spawn(name: "pace") { Self.pace(lanes, stage, ending) }
    } else {
      let ending = Countdown(plan.connections * plan.outstanding)
      self.ending = ending
      for lane in lanes {
        for _ in 0..<plan.outstanding { lane.goOn(ending) }
      }
    }
  }

  func waitUntilEnded() { ending.wait() }

  func tally() -> Tally {
    for client in clients { client.closeBlocking() }
    return recorders.reduce(into: Tally()) { $0.add($1.value) }
  }

  /// Starts each call when it is due. It spins: a sleeping thread would be late by more than a call takes.
  private static func pace(_ lanes: [Lane], _ stage: Stage, _ ending: Countdown) {
    var turn = 0
    while !stage.isExhausted {
      while let due = stage.nextDue(now: Clock.now()) {
        lanes[turn % lanes.count].once(due, ending)
        turn += 1
      }
    }
    ending.leave()
  }

  /// The calls of one client. A class, since every call's callback holds it.
  private final class Lane: Sendable {
    let call: StartedCall
    let recorder: Recorder
    let stage: Stage

    init(call: StartedCall, recorder: Recorder, stage: Stage) {
      self.call = call
      self.recorder = recorder
      self.stage = stage
    }

    func goOn(_ ending: Countdown) {
      let now = Clock.now()
      guard let start = stage.next(now: now) else { return ending.leave() }
      call.start { result in
        self.recorder.record(result, start: start)
        self.goOn(ending)
      }
    }

    func once(_ due: UInt64, _ ending: Countdown) {
      ending.enter()
      call.start { result in
        self.recorder.record(result, start: due)
        ending.leave()
      }
    }
  }
}

/// A call by callback, typed where its shape allows.
private struct StartedCall: Sendable {
  let client: RPCClient
  let shape: CallShape
  let procedure: RemoteProcedure?
  let name: String
  let options: CallOptions

  init(client: RPCClient, plan: LoadPlan, shape: CallShape) throws {
    self.client = client
    self.shape = shape
    name = plan.procedure
    options = plan.callOptions
    procedure = try RemoteProcedure(client, plan, shape)
  }

  func start(_ completion: @escaping @Sendable (Result<Void, RPCError>) -> Void) {
    switch (shape, procedure) {
    case (.pair(let left, let right), let procedure?):
      client.start(procedure, left, right, options: options) { (result: Result<(Int), RPCError>) in
        completion(result.map { _ in })
      }
    case (.echo(let bytes), let procedure?):
      client.start(procedure, bytes, options: options) { (result: Result<(Bytes), RPCError>) in
        completion(result.map { _ in })
      }
    case (.values(let values), _):
      client.start(name, values, options: options) { result in completion(result.map { _ in }) }
    case (_, nil): preconditionFailure("a typed shape has a procedure")
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
  private let finished = Finished()

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
