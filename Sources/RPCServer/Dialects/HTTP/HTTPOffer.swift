internal import RPCDeployment
internal import RPCProcedures
internal import RPCWire

/// What of the service `system` is offered over HTTP.
internal enum HTTPOffer {
  /// - Throws: `RPCNotFound` where the procedure is one of `system` that is not offered.
  static func check(service: String, procedure: String) throws(RPCError) {
    let offered = SystemContract.namesOverHTTP
    guard service.hasSameUTF8(as: SystemContract.service), !offered.contains(procedure) else { return }
    throw RPCError(
      .rpcNotFound,
      "over HTTP the service 'system' has \(offered.sorted().joined(separator: ", ")) alone; what else it has is "
        + "for the native dialect")
  }
}
