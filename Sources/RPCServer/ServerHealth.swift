internal import RPCWire

/// Whether a server serves, as load balancers ask.
internal struct ServerHealth {
  /// It takes no more calls.
  var isDraining: Bool
  /// Why it does not serve what was committed last, nil when all is well.
  var degraded: String?
  /// Nothing of what was deployed could be loaded.
  var isEmpty: Bool

  var isServing: Bool { !isDraining && !isEmpty }

  /// What is said of it.
  var fields: [Value.Entry] {
    let status = isDraining ? "draining" : isEmpty ? "empty" : degraded != nil ? "degraded" : "serving"
    var fields = [Value.Entry("status", .string(status))]
    if let degraded { fields.append(Value.Entry("degraded", .string(degraded))) }
    return fields
  }
}
