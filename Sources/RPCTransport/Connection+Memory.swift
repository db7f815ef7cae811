internal import RPCWire

/// What a connection holds, in the account of all.
extension Connection {
  /// Whether the peer is one that nobody knows, and so shares less memory.
  public var isStranger: Bool {
    get { state.isStranger }
    set {
      guard newValue != state.isStranger else { return }
      budget?.move(countedBytes, toStrangers: newValue)
      state.isStranger = newValue
    }
  }

  /// Keeps `bytes` more, or with a negative number less, for the handler: counted like the connection's own buffers.
  public func hold(_ bytes: Int) {
    handlerBytes += bytes
    count()
  }

  /// What stands in the way of holding `bytes` more, see `MemoryBudget`.
  public func excess(of bytes: Int) -> (actual: Int, limit: Int)? {
    budget?.excess(of: bytes, isStranger: state.isStranger)
  }

  /// Whether so much more may be held. Where not, the handler has ended the connection, and what is kept is dropped.
  internal func mayHold(_ bytes: Int) -> Bool {
    guard bytes > 0, let excess = excess(of: bytes) else { return true }
    loop.buffers.value.giveBack(&input.value)
    state.hasUndelivered = false
    handler?.memoryExceeded(on: self, actual: excess.actual, limit: excess.limit)
    precondition(!isReceiving, "a connection without memory ends")
    return false
  }

  /// Brings the server's account of this connection up to date: nothing to do while it holds no buffers.
  @inline(__always)
  internal func count() {
    var now = input.value.allocatedBytes + output.value.allocatedBytes + handlerBytes
    if let filtering { now += filtering.wire.value.allocatedBytes }
    if now != countedBytes { count(now) }
  }

  private func count(_ now: Int) {
    let growth = now - countedBytes
    countedBytes = now
    guard let budget else { return }
    budget.change(by: growth, isStranger: state.isStranger)
    // Replies that the peer does not read: nothing that could be said would reach it.
    guard growth > 0, state.isOpen, output.value.count > BufferPool.freshBytes,
      let excess = budget.excess(of: 0, isStranger: state.isStranger)
    else { return }
    handler?.memoryExceeded(on: self, actual: excess.actual, limit: excess.limit)
    close()
  }
}
