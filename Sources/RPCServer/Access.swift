internal import RPCProcedures

/// Which services a caller may use in one generation: worked out once for each set of registered names and
/// generation, then one bit a call.
internal final class Access {
  let serial: Int
  private let allowed: ContiguousArray<Bool>

  init(catalogue: Catalogue, identities: [String]) {
    serial = catalogue.serial
    allowed = ContiguousArray(
      catalogue.services.map { service in
        guard let tenants = service.tenants else { return true }
        return identities.contains { tenants.contains($0) }
      })
  }

  @inline(__always)
  func allows(service: Int) -> Bool {
    allowed[service]
  }
}
