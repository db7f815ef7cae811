/// A token bucket for frames that cost the server work and bring it none: resets of either side, empty DATA, PRIORITY,
/// WINDOW_UPDATE, PING, SETTINGS, and all that is of an unknown kind. HTTP/2 bounds none of them. Answered calls pay for their own.
internal struct FrameBudget {
  private var tokens = Double(GRPCLimits.idleFramesBurst)
  private var filled: UInt64

  init(now: UInt64) { filled = now }

  /// Takes one frame; false where there were too many.
  mutating func take(now: UInt64) -> Bool {
    if tokens < 1 {
      let seconds = Double(now &- filled) / 1e9
      tokens = min(
        Double(GRPCLimits.idleFramesBurst), tokens + seconds * Double(GRPCLimits.idleFramesPerSecond))
      filled = now
      guard tokens >= 1 else { return false }
    }
    tokens -= 1
    return true
  }

  /// A call was answered, or as much was sent as an answer.
  @inline(__always)
  mutating func earn() {
    tokens = min(Double(GRPCLimits.idleFramesBurst), tokens + Double(GRPCLimits.idleFramesPerCall))
  }
}
