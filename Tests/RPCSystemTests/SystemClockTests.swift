import Testing

@testable import RPCSystem

@Suite("The wall clock")
struct ClockTests {
  @Test(
    "a time is a signed number of nanoseconds, and one beyond what that can tell is the nearest",
    arguments: [
      (0, 0, 0), (1, 5, 1_000_000_005), (-1, 0, -1_000_000_000), (-1, 999_999_999, -1),
      (-2_000_000_000, 1, -1_999_999_999_999_999_999), (9_223_372_036, 854_775_807, .max),
      (9_223_372_036, 854_775_808, .max), (9_223_372_037, 0, .max),
      (-9_223_372_036, 0, -9_223_372_036_000_000_000),
      (-9_223_372_037, 0, .min), (.max, 999_999_999, .max), (.min, 0, .min),
    ] as [(Int64, Int64, Int64)])
  func wall(seconds: Int64, nanoseconds: Int64, wanted: Int64) {
    #expect(SystemClock.nanoseconds(seconds, nanoseconds) == wanted)
  }

  @Test("milliseconds and nanoseconds tell the same time")
  func agree() {
    let before = SystemClock.wallMilliseconds()
    let between = SystemClock.wallNanoseconds()
    let after = SystemClock.wallMilliseconds()
    #expect((before...after).contains(between / 1_000_000))
  }
}
