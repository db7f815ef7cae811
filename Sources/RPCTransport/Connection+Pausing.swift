/// Reading that waits.
extension Connection {
  /// Stops reading, for instance while too many calls are in flight. Bytes that were read are kept.
  package func pauseReading() {
    guard state.isOpen, !state.isReadingPaused else { return }
    state.isReadingPaused = true
    updateInterest()
  }

  package func resumeReading() {
    guard state.isOpen, state.isReadingPaused else { return }
    state.isReadingPaused = false
    updateInterest()
    resumeDelivery()
  }
}
