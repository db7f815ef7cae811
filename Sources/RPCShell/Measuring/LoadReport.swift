import Histogram
import RPCWire

/// What a run of calls came to.
struct LoadReport: Sendable {
  var options: LoadRun.Options
  var calls: Int
  var errors: Int
  var firstError: RPCError?
  var elapsed: Duration
  /// As it was measured.
  var measured: Histogram<UInt64>

  var perSecond: Double { elapsed > .zero ? Double(calls) / elapsed.seconds : 0 }

  /// Corrected for coordinated omission. In an open run every latency counts from when the call was due, and nothing
  /// is missing. In a closed run a slow answer keeps the calls behind it from being begun: those that a steady
  /// caller would have begun meanwhile are put in, at the pace that the run had in the median.
  var corrected: Histogram<UInt64> {
    guard options.rate == nil, calls > 0 else { return measured }
    let interval = max(1, measured.valueAtPercentile(50))
    var result = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
    for value in measured.recordedValues() {
      _ = result.recordCorrectedValue(value.value, count: value.count, expectedInterval: interval)
    }
    return result
  }

  static let percentiles: [(name: String, percentile: Double)] = [
    ("min", 0), ("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9), ("p99.99", 99.99), ("max", 100),
  ]

  /// One line, for while it runs.
  var line: String {
    var text = "\(Quantity.count(Int64(calls))) calls, \(Quantity.count(Int64(perSecond)))/s"
    if calls > 0 {
      text +=
        "  p50 \(Self.shown(measured.valueAtPercentile(50)))  p99 \(Self.shown(measured.valueAtPercentile(99)))"
    }
    if errors > 0 { text += "  \(errors) errors" }
    return text + "  (Ctrl-C ends)"
  }

  func fields(title: String) -> Fields {
    let corrected = corrected
    var fields: [Fields.Field] = [
      .init("calls", Quantity.count(Int64(calls)), .int(Int64(calls))),
      .init("time", Quantity.duration(elapsed), .int(elapsed.nanoseconds / 1000), key: "time_us"),
      .init("per second", Quantity.count(Int64(perSecond)), .float((perSecond * 10).rounded() / 10)),
    ]
    let way =
      options.rate.map { "\(Quantity.count(Int64($0))) begun per second" }
      ?? "\(options.outstanding) in flight"
    fields.append(.init("load", way))
    if calls > 0 {
      for (name, percentile) in Self.percentiles {
        let value = percentile == 0 ? corrected.min : corrected.valueAtPercentile(percentile)
        let raw = percentile == 0 ? measured.min : measured.valueAtPercentile(percentile)
        // Where the correction changes a figure, what was measured stands beside it.
        let differs = Double(value) > Double(raw) * 1.1
        fields.append(
          .init(
            name, Self.shown(value) + (differs ? "   (\(Self.shown(raw)) uncorrected)" : ""),
            .int(Int64(value / 1000)), key: "\(name)_us"))
      }
    }
    if errors > 0 {
      fields.append(
        .init(
          "errors", "\(Quantity.count(Int64(errors))): \(firstError?.description ?? "")", .int(Int64(errors)),
          role: .bad))
    }
    return Fields(title, fields, titleRole: .name)
  }

  private static func shown(_ nanoseconds: UInt64) -> String {
    Quantity.duration(.nanoseconds(Int64(nanoseconds)))
  }
}
