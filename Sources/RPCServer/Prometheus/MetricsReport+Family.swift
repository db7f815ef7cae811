internal import RPCWire

extension MetricsReport {
  /// A metric that each procedure has.
  struct Family: Sendable {
    let name: String
    let type: String
    let help: String
    /// Appends the samples of one procedure, where it has any.
    let append: @Sendable (ProcedureMetrics, _ labels: String, inout ByteQueue) -> Void

    static let all = [calls, errors, durations]

    private static let calls = Family(
      name: "simplerpc_calls_total", type: "counter", help: "Calls that were executed or failed on the way."
    ) { metrics, labels, output in
      guard metrics.calls > 0 else { return }
      output.append("simplerpc_calls_total{\(labels)} \(metrics.calls)\n")
    }

    private static let errors = Family(
      name: "simplerpc_call_errors_total", type: "counter",
      help: "Calls that failed, by code; those of names that are not known are counted as other."
    ) { metrics, labels, output in
      for (code, count) in metrics.errorsByCode.enumerated() where count > 0 {
        let name = StatusCode(rawValue: UInt16(code))?.connectName ?? "unknown"
        output.append("simplerpc_call_errors_total{\(labels),code=\"\(name)\"} \(count)\n")
      }
    }

    private static let durations = Family(
      name: "simplerpc_call_duration_seconds", type: "histogram",
      help: "How long calls took; closures that answer on the spot are not measured."
    ) { metrics, labels, output in
      guard !metrics.durations.isEmpty else { return }
      var count: UInt64 = 0
      for (bound, bucket) in zip(ProcedureMetrics.durationBounds, metrics.durations) {
        count += bucket
        output.append(
          "simplerpc_call_duration_seconds_bucket{\(labels),le=\"\(MetricsReport.seconds(bound))\"} \(count)\n"
        )
      }
      count += metrics.durations.last ?? 0
      output.append("simplerpc_call_duration_seconds_bucket{\(labels),le=\"+Inf\"} \(count)\n")
      output.append(
        "simplerpc_call_duration_seconds_sum{\(labels)} \(MetricsReport.seconds(metrics.nanoseconds))\n")
      output.append("simplerpc_call_duration_seconds_count{\(labels)} \(count)\n")
    }
  }
}
