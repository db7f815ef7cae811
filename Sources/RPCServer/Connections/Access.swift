internal import RPCProcedures
internal import RPCWire

/// Which services a caller may use by one catalogue: worked out once for each set of registered names and catalogue,
/// then one bit a call.
internal struct Access {
  /// That of the catalogue it is of; the first one differs from every catalogue's.
  private(set) var edition = -1
  /// The first 64 services, a bit each: looking at a number counts no references.
  private var bits: UInt64 = 0
  private var rest: ContiguousArray<Bool> = []

  init() {}

  init(catalogue: Catalogue, identities: [String]) {
    edition = catalogue.edition
    for (index, service) in catalogue.services.enumerated() {
      let isAllowed =
        service.tenants.map { tenants in identities.contains { tenants.contains(UTF8Key($0)) } } ?? true
      if index >= UInt64.bitWidth {
        rest.append(isAllowed)
      } else if isAllowed {
        bits |= 1 << UInt64(index)
      }
    }
  }

  @inline(__always)
  func allows(service: Int) -> Bool {
    service < UInt64.bitWidth ? bits >> UInt64(service) & 1 != 0 : rest[service - UInt64.bitWidth]
  }
}
