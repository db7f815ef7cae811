import Glibc
import RPCClient
import RPCTransport
import RPCWire

/// Runs a load from its first call to its report: tries the procedure, warms up, measures, ends.
struct BenchmarkRun {
  let plan: LoadPlan
  let mode: LoadMode
  let warmupSeconds: Double
  let durationSeconds: Double
  let count: Int?
  let serverProcess: pid_t?

  func run() throws -> Report {
    let shape = try probe()
    let control = LoadControl(rate: plan.rate)
    let load: any Load =
      switch mode {
      case .raw: try RawLoad(plan: plan, control: control)
      case .callback: try CallbackLoad(plan: plan, shape: shape, control: control)
      case .async: try LaneLoad(plan: plan, shape: shape, control: control, blocking: false)
      case .blocking: try LaneLoad(plan: plan, shape: shape, control: control, blocking: true)
      }
    Clock.sleep(until: Clock.now() + UInt64(warmupSeconds * 1e9))
    let clientBefore = CPUTime.ofThisProcess()
    let serverBefore = serverProcess.flatMap(CPUTime.of)
    let began = control.beginMeasuring(count: count)
    if count == nil {
      Clock.sleep(until: began + UInt64(durationSeconds * 1e9))
    } else {
      // The lanes end by themselves once all calls were made.
      load.waitUntilEnded()
    }
    let ended = control.end()
    let client = CPUTime.ofThisProcess() - clientBefore
    let server = serverProcess.flatMap(CPUTime.of).flatMap { after in serverBefore.map { after - $0 } }
    load.waitUntilEnded()
    let measurements = try load.measurements()
    return Report(
      plan: plan, mode: mode, measurements: measurements, seconds: Double(ended - began) / 1e9,
      clientNanoseconds: client, serverNanoseconds: server)
  }

  /// One call before all others: tells what is wrong in plain words, and what the results are.
  private func probe() throws -> CallShape {
    let client = plan.makeClient()
    defer { client.closeBlocking() }
    let result = try client.invokeBlocking(plan.procedure, plan.arguments, options: plan.callOptions)
    return CallShape(arguments: plan.arguments, results: result.values)
  }
}

/// What makes calls until its control ends the run.
protocol Load {
  /// Blocks until every call that was started has been answered.
  func waitUntilEnded()
  /// What was seen, once it has ended.
  func measurements() throws -> Measurements
}
