internal import RPCProcedures
internal import RPCWire

/// What of the service `system` is offered over HTTP and gRPC, which browsers speak too: nothing that changes the
/// server or shows a source.
internal enum HTTPOffer {
  static let procedures: Set<String> = ["ping", "catalogue", "stats"]

  /// - Throws: `RPCNotFound` where the procedure is one of `system` that is not offered.
  static func check(service: String, procedure: String) throws(RPCError) {
    guard service.hasSameUTF8(as: "system"), !procedures.contains(procedure) else { return }
    throw RPCError(
      .rpcNotFound,
      "over HTTP the service 'system' has \(procedures.sorted().joined(separator: ", ")) alone; what else it has is "
        + "for the native dialect")
  }
}
