import RPCWire
import Testing

@Suite("Kinds of frame")
struct FrameKindTests {
  @Test("Every kind of this version is known, and no other")
  func kinds() {
    for kind in UInt8.min...UInt8.max {
      #expect(FrameKind.isKnown(kind) == (FrameKind(rawValue: kind) != nil))
    }
  }
}
