import Glibc
import Histogram
import RPCWire

/// What a run found, for people and for programs.
struct Report {
  let plan: LoadPlan
  let mode: LoadMode
  let measurements: Measurements
  let seconds: Double
  let clientNanoseconds: UInt64
  /// Nil where the server's process was not told.
  let serverNanoseconds: UInt64?

  private static let percentiles: [(name: String, value: Double)] = [
    ("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9), ("p99.99", 99.99), ("max", 100),
  ]

  private var callsPerSecond: Double { Double(measurements.succeeded) / seconds }

  private func perCall(_ nanoseconds: UInt64) -> Double {
    Double(nanoseconds) / 1000 / Double(max(1, measurements.succeeded + UInt64(measurements.failed)))
  }

  private func microseconds(_ percentile: Double) -> Double {
    measurements.succeeded == 0 ? 0 : Double(measurements.latencies.valueAtPercentile(percentile)) / 1000
  }

  var text: String {
    let loop =
      plan.rate.map { "open loop at \(Self.format($0)) calls/s" } ?? "\(plan.outstanding) in flight each"
    var lines = [
      "\(plan.procedure): \(English.count(plan.connections, "connection")), \(loop), mode \(mode.rawValue), \(Self.format(seconds)) s",
      "  calls    \(measurements.succeeded) (\(Self.format(callsPerSecond))/s), \(measurements.failed) failed",
      "  latency  "
        + Self.percentiles.map { "\($0.name) \(Self.format(microseconds($0.value)))" }.joined(separator: "  ")
        + "  us",
      "  CPU      client \(Self.format(perCall(clientNanoseconds))) us/call"
        + (serverNanoseconds.map { ", server \(Self.format(perCall($0))) us/call" } ?? ""),
    ]
    for (error, count) in measurements.failures.sorted(by: { $0.value > $1.value }) {
      lines.append("  failed   \(count) × \(error)")
    }
    return lines.joined(separator: "\n")
  }

  var json: String {
    var latency = Self.percentiles.map { Value.Entry($0.name, .float(microseconds($0.value))) }
    latency.append(
      .init("mean", .float(measurements.succeeded == 0 ? 0 : measurements.latencies.mean / 1000)))
    var fields: [Value.Entry] = [
      .init("procedure", .string(plan.procedure)), .init("mode", .string(mode.rawValue)),
      .init("connections", .int(Int64(plan.connections))),
      .init("outstanding", .int(Int64(plan.outstanding))),
      .init("rate", plan.rate.map { .float($0) } ?? .null), .init("seconds", .float(seconds)),
      .init("calls", .int(Int64(measurements.succeeded))), .init("failed", .int(Int64(measurements.failed))),
      .init("calls_per_second", .float(callsPerSecond)), .init("latency_us", .map(latency)),
      .init("client_cpu_us", .float(perCall(clientNanoseconds))),
    ]
    if let serverNanoseconds { fields.append(.init("server_cpu_us", .float(perCall(serverNanoseconds)))) }
    return Value.map(fields).json
  }

  /// Three or more digits, no exponent: 0.314, 12.5, 102341.
  private static func format(_ value: Double) -> String {
    let decimals = value >= 1000 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3
    let scale = pow(10, Double(decimals))
    let scaled = Int((value * scale).rounded())
    guard decimals > 0 else { return String(scaled) }
    let fraction = String(scaled % Int(scale))
    return "\(scaled / Int(scale)).\(String(repeating: "0", count: decimals - fraction.count))\(fraction)"
  }
}
