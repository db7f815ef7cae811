import RPCClient
import RPCTransport
import RPCWire

/// Calls from tasks that await each answer, or from threads that block for it: one lane per call in flight.
final class LaneLoad: Load {
  private let clients: [RPCClient]
  private let recorders: [Recorder]
  private let ending: Countdown

  init(plan: LoadPlan, shape: CallShape, control: LoadControl, blocking: Bool) throws {
    // A few, so that lanes on different cores seldom wait for each other, and the histograms fit the cache.
    let recorders = (0..<4).map { _ in Recorder(control: control) }
    let ending = Countdown(plan.connections * plan.outstanding)
    let clients = (0..<plan.connections).map { _ in plan.makeClient() }
    self.recorders = recorders
    self.ending = ending
    self.clients = clients
    for client in clients {
      let procedure = try RemoteProcedure(client, plan, shape)
      for index in 0..<plan.outstanding {
        let lane = Lane(
          client: client, procedure: procedure, plan: plan, shape: shape, control: control,
          recorder: recorders[index % recorders.count], ending: ending)
        if blocking {
          try LoopThread.spawn(name: "lane") { lane.runBlocking() }
        } else {
          Task.detached { await lane.run() }
        }
      }
    }
  }

  func waitUntilEnded() { ending.wait() }

  func measurements() -> Measurements {
    for client in clients { client.closeBlocking() }
    return recorders.reduce(into: Measurements()) { $0.add($1.value) }
  }
}

/// One call after the other.
private struct Lane: Sendable {
  let client: RPCClient
  let procedure: RemoteProcedure?
  let plan: LoadPlan
  let shape: CallShape
  let control: LoadControl
  let recorder: Recorder
  let ending: Countdown

  func run() async {
    let options = plan.callOptions
    while let start = control.next(now: Clock.now()) {
      if control.isPaced { await sleep(until: start) }
      do throws(RPCError) {
        try await call(options)
        recorder.succeeded(start: start)
      } catch {
        recorder.failed(error, start: start)
      }
    }
    ending.leave()
  }

  private func call(_ options: CallOptions) async throws(RPCError) {
    switch shape {
    case .pair(let left, let right):
      let _: Int = try await client.call(typed, left, right, options: options)
    case .echo(let bytes):
      let _: Bytes = try await client.call(typed, bytes, options: options)
    case .values(let values):
      _ = try await client.invoke(plan.procedure, values, options: options)
    }
  }

  private func sleep(until time: UInt64) async {
    let now = Clock.now()
    guard time > now else { return }
    // Only cancellation ends a sleep early, and nobody cancels these tasks.
    try? await Task.sleep(nanoseconds: time - now)
  }

  func runBlocking() {
    let options = plan.callOptions
    while let start = control.next(now: Clock.now()) {
      if control.isPaced { Clock.sleep(until: start) }
      do throws(RPCError) {
        try callBlocking(options)
        recorder.succeeded(start: start)
      } catch {
        recorder.failed(error, start: start)
      }
    }
    ending.leave()
  }

  private func callBlocking(_ options: CallOptions) throws(RPCError) {
    switch shape {
    case .pair(let left, let right):
      let _: Int = try client.callBlocking(typed, left, right, options: options)
    case .echo(let bytes):
      let _: Bytes = try client.callBlocking(typed, bytes, options: options)
    case .values(let values):
      _ = try client.invokeBlocking(plan.procedure, values, options: options)
    }
  }

  private var typed: RemoteProcedure {
    guard let procedure else { preconditionFailure("a typed shape has a procedure") }
    return procedure
  }
}
