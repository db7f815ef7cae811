import RPCProcedures
import RPCWire
import Testing

@Suite("Procedures that keep crashing")
struct QuarantineTests {
  private static func signature(_ name: String) -> Signature {
    Signature(service: "s", name: name, parameters: [Parameter(.int)], returns: [])
  }

  private static func quarantine(_ change: (inout RuntimeLimits) -> Void = { _ in }) -> Quarantine {
    var limits = RuntimeLimits()
    change(&limits)
    return Quarantine(limits: limits) { 1_764_321_185_000 }
  }

  @Test("the fifth crash within a minute puts a procedure in quarantine, and no other with it")
  func fifth() {
    let quarantine = Self.quarantine()
    let (bad, good) = (Self.signature("bad"), Self.signature("good"))
    for second in 1...4 {
      #expect(quarantine.crashed(bad, "by signal 11", now: UInt64(second) * 1_000_000_000) == nil)
      #expect(quarantine.refusal(of: bad) == nil && quarantine.isEmpty)
    }
    let entry = quarantine.crashed(bad, "by signal 6 (SIGABRT)", now: 60_999_999_999)
    #expect(entry?.crashes == 5)
    let error = quarantine.refusal(of: bad)
    #expect(error?.exception == .unavailable && error?.executed == .no)
    #expect(
      error?.message
        == "s.bad is in quarantine: 5 calls within 60 s ended their worker, the last one by signal 6 (SIGABRT), at "
        + "2025-11-28 09:13:05 UTC; the next deployment ends that")
    #expect(quarantine.refusal(of: good) == nil)
    #expect(quarantine.entries.map(\.signature) == [bad])
  }

  @Test("crashes that are further apart are counted from one again")
  func apart() {
    let quarantine = Self.quarantine()
    for minute in 0..<100 {
      let now = UInt64(minute) * 15_000_000_000
      #expect(quarantine.crashed(Self.signature("bad"), "by exit", now: now) == nil)
    }
    #expect(quarantine.isEmpty)
  }

  @Test("lifting forgets what was counted, and tells who was there")
  func lifting() {
    let quarantine = Self.quarantine { $0.quarantineCrashes = 2 }
    for name in ["b", "a"] {
      for _ in 0..<2 { _ = quarantine.crashed(Self.signature(name), "", now: 1) }
    }
    _ = quarantine.crashed(Self.signature("c"), "", now: 1)
    #expect(quarantine.lift().map(\.signature.name) == ["a", "b"])
    #expect(quarantine.isEmpty && quarantine.refusal(of: Self.signature("a")) == nil)
    #expect(quarantine.crashed(Self.signature("c"), "", now: 2) == nil)
    #expect(quarantine.crashed(Self.signature("c"), "", now: 3) != nil)
  }

  @Test("with 0 nothing is ever put there")
  func never() {
    let quarantine = Self.quarantine { $0.quarantineCrashes = 0 }
    for _ in 0..<100 { #expect(quarantine.crashed(Self.signature("bad"), "", now: 1) == nil) }
    #expect(quarantine.isEmpty)
  }
}
