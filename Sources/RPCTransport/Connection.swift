internal import Glibc
package import RPCSystem
package import RPCWire

/// One stream socket on one loop: reads into the loop's buffer, hands the bytes to its handler in place, and
/// writes what the handler queued, first directly and through EPOLLOUT only where the socket is full. It
/// holds memory of its own only while a frame is incomplete or a peer is slow to read.
///
/// The loop holds the connection while it is open; the connection holds its handler.
package final class Connection: EventHandler, TimerTarget {
  // In the order of their use: a call of one of many connections finds little of this in the processor's cache.
  //
  // Plain numbers are read and written in one step each, and the queues by nobody else while one has them in hand:
  // checking every access would cost more than it.
  package let loop: EventLoop
  package let descriptor: Int32
  private var interest: Interest = .readable
  /// Flags alone, set and read one by one.
  @usableFromInline @exclusivity(unchecked) internal var state = State()
  internal private(set) var handler: (any ConnectionHandler)?
  internal var filtering: Filtering?
  @exclusivity(unchecked) internal var input = ByteQueue()
  /// How many bytes the handler needs before it can go on, where it knows: sizes the next read.
  @exclusivity(unchecked) package var bytesWanted = 0
  /// When bytes last came in, on the loop's clock.
  @exclusivity(unchecked) package private(set) var lastReceived: UInt64
  /// Totals since the connection opened.
  @exclusivity(unchecked) package private(set) var bytesReceived: UInt64 = 0
  @exclusivity(unchecked) package private(set) var bytesSent: UInt64 = 0
  @exclusivity(unchecked) internal var output = ByteQueue()
  /// What this connection counts for in the budget.
  @exclusivity(unchecked) internal var countedBytes = 0
  /// Bytes that the handler keeps for this connection besides its buffers.
  @exclusivity(unchecked) internal var handlerBytes = 0
  package let limits: ConnectionLimits
  /// What the server's connections may hold together.
  internal let budget: MemoryBudget?
  private var watch: Watch?
  internal var lingerTimer: TimerID?
  /// How long a closed connection waits for the peer to end too, in nanoseconds.
  package static let lingerNanoseconds: UInt64 = 1_000_000_000

  @usableFromInline internal struct State {
    @usableFromInline var isOpen = true
    var isDelivering = false
    var isReadingPaused = false
    /// Paused because the peer does not read.
    var isCongested = false
    @usableFromInline var inputEnded = false
    @usableFromInline var closesAfterFlush = false
    var flushIsDue = false
    /// All is written and our side is shut; what still comes in is thrown away until the peer ends too.
    var isLingering = false
    /// All but the filter's handshake is done before the last words leave.
    var isFinishingHandshake = false
    /// Whole frames are kept that the handler did not take, since it paused or the peer does not read.
    var hasUndelivered = false
    var isStranger = false
  }

  /// Takes over a connected, non-blocking stream socket. Nothing is read before `start`.
  package init(
    adopting descriptor: consuming Descriptor, on loop: EventLoop,
    limits: ConnectionLimits = ConnectionLimits(), budget: MemoryBudget? = nil
  ) {
    self.descriptor = descriptor.release()
    self.loop = loop
    self.limits = limits
    self.budget = budget
    lastReceived = loop.now
  }

  deinit {
    precondition(!state.isOpen, "a connection is closed before it is dropped")
  }

  /// Begins to read for `handler`, which the connection holds until it is closed.
  package func start(_ handler: any ConnectionHandler) throws(SystemError) {
    self.handler = handler
    do {
      watch = try loop.watch(descriptor, interest, self, inner: handler)
    } catch {
      abandon()
      throw error
    }
  }

  @inlinable package var isOpen: Bool { state.isOpen }
  /// Whether what still comes in is of any use: neither closed nor about to be.
  @inlinable package var isReceiving: Bool { state.isOpen && !state.closesAfterFlush }

  /// Whether what the peer sends is being read, rather than left to wait for it to read or for its calls to end.
  package var isReading: Bool { interest.contains(.readable) }

  /// Whether the peer will send no more than what has been delivered, or is kept.
  @inlinable package var inputHasEnded: Bool { state.inputEnded }

  /// Whether bytes are kept that the handler has not taken yet.
  package var keepsInput: Bool { !input.isEmpty }

  /// Bytes that wait for the peer to read.
  package var outputBytes: Int { output.count + (filtering?.wire.value.count ?? 0) }

  // MARK: Readiness

  package func ready(_ readiness: Readiness, on loop: EventLoop) {
    if readiness.contains(.writable) {
      flush()
      count()
    }
    guard state.isOpen else { return }
    if readiness.contains(.readable), interest.contains(.readable) {
      read()
    } else if readiness.contains(.hangup), !interest.contains(.readable) {
      // Nobody is reading, so nobody else would notice that the peer is gone.
      finish(
        Socket.pendingError(of: descriptor).map { .failed(SystemError(code: $0, operation: "connection")) }
          ?? .peer)
    } else if readiness == .hangup {
      read()
    }
  }

  private func read() {
    if state.isLingering {
      let outcome = Syscall.receive(descriptor, loop.readBuffer)
      if outcome == .ended { finish(ending) } else if case .failed = outcome { finish(ending) }
    } else if let filtering {
      read(through: filtering)
    } else if input.isEmpty {
      let outcome = Syscall.receive(descriptor, loop.readBuffer)
      guard case .moved(let count) = outcome else { return readFailed(outcome) }
      noteReceived(count)
      let bytes = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: loop.readBuffer[..<count]))
      let consumed = deliver(bytes)
      guard state.isOpen else { return settle() }
      if let filtering {
        pass(bytes, filtering)
      } else if consumed < count, isReceiving {
        keep(bytes.extracting(consumed..<count))
      }
    } else {
      // A frame is incomplete: read behind what is there.
      guard let step = nextStep() else { return settle() }
      var outcome = Transfer.wouldBlock
      input.fill(upTo: step) { buffer in
        outcome = Syscall.receive(descriptor, buffer)
        if case .moved(let count) = outcome { return count }
        return 0
      }
      guard case .moved(let count) = outcome else { return readFailed(outcome) }
      noteReceived(count)
      deliverKeptInput()
    }
    settle()
  }

  internal func noteReceived(_ count: Int) {
    lastReceived = loop.now
    bytesReceived &+= UInt64(count)
  }

  internal func readFailed(_ outcome: Transfer) {
    switch outcome {
    case .ended:
      guard !state.inputEnded else { return }
      state.inputEnded = true
      updateInterest()
      // What is kept is all that there will be: the handler may make something of it now.
      if !input.isEmpty {
        bytesWanted = 0
        deliverKeptInput()
      }
      if state.isOpen { handler?.inputEnded(on: self) }
      settle()
    case .failed(let code): finish(.failed(SystemError(code: code, operation: "read")))
    case .wouldBlock, .moved: break
    }
  }

  internal func deliverKeptInput() {
    guard bytesWanted <= input.count else { return }
    let isPlain = filtering == nil
    // The queue is moved out, so that the handler may close the connection while it looks at the bytes.
    var bytes = ByteQueue()
    swap(&bytes, &input)
    let consumed = deliver(bytes.bytes)
    if isPlain, let filtering {
      pass(bytes.bytes, filtering)
      return loop.buffers.value.giveBack(&bytes)
    }
    bytes.consume(consumed)
    if bytes.isEmpty || !state.isOpen {
      loop.buffers.value.giveBack(&bytes)
    } else {
      swap(&bytes, &input)
      state.hasUndelivered = bytesWanted <= input.count
    }
  }

  /// Calls the handler with the output queue moved out, so that it appends without going through this object.
  private func deliver(_ bytes: RawSpan) -> Int {
    guard let handler else { return bytes.byteCount }
    var queue = ByteQueue()
    swap(&queue, &output)
    if queue.allocatedBytes == 0 { queue = loop.buffers.value.take() }
    bytesWanted = 0
    state.isDelivering = true
    let consumed = handler.received(bytes, into: &queue, on: self)
    state.isDelivering = false
    precondition(consumed >= 0 && consumed <= bytes.byteCount, "a handler consumed more than it was given")
    if !queue.isEmpty {
      // What was sent meanwhile by way of `send`; order between replies is free.
      if !output.isEmpty {
        queue.append(contentsOf: output)
        output.removeAll()
      }
      swap(&queue, &output)
    }
    loop.buffers.value.giveBack(&queue)
    return consumed
  }

  /// After every delivery: writes, and applies backpressure.
  private func settle() {
    guard state.isOpen else { return release() }
    flush()
    count()
  }

  // MARK: Writing

  /// Encodes straight into the output queue. It leaves with everything else of this turn.
  package func send(_ body: (inout ByteQueue) -> Void) {
    guard state.isOpen else { return }
    if output.allocatedBytes == 0 { output = loop.buffers.value.take() }
    body(&output)
    if !state.isDelivering { scheduleFlush() }
  }

  internal func scheduleFlush() {
    guard !state.flushIsDue else { return }
    state.flushIsDue = true
    loop.atEndOfTurn { [self] in
      state.flushIsDue = false
      flush()
      count()
    }
  }

  /// Writes what waits. Called at the end of a turn by itself; calling it is never wrong.
  package func flush() {
    guard state.isOpen, !state.isDelivering else { return }
    if output.isEmpty, output.allocatedBytes == 0, !state.closesAfterFlush, !state.hasUndelivered,
      filtering == nil
    {
      return
    }
    if let filtering {
      guard flush(through: filtering) else { return }
      // A handshake is under way: nothing else can leave.
      guard output.isEmpty else {
        if state.closesAfterFlush { waitForHandshake() }
        return
      }
    } else {
      guard hasWritten(write(&output)) else { return }
    }
    loop.buffers.value.giveBack(&output)
    if state.closesAfterFlush { return linger() }
    if interest.contains(.writable) || state.isCongested { updateInterest() }
    if state.hasUndelivered { resumeDelivery() }
  }

  /// Writes all of a queue, or as much as the socket takes now. Calls nobody while it has the queue in hand.
  @inline(__always)
  internal func write(_ queue: inout ByteQueue) -> Transfer {
    var outcome = Transfer.ended
    while !queue.isEmpty {
      outcome = queue.withReadable { Syscall.send(descriptor, $0) }
      guard case .moved(let count) = outcome else { return outcome }
      bytesSent &+= UInt64(count)
      queue.consume(count)
      // A short write means a full socket: the next one would only say so.
      if !queue.isEmpty { return .wouldBlock }
    }
    return outcome
  }

  /// Sees to what stands in the way of writing.
  ///
  /// - Returns: whether all has left.
  @inline(__always)
  internal func hasWritten(_ outcome: Transfer) -> Bool {
    switch outcome {
    case .moved, .ended: return true
    case .wouldBlock: waitForRoom()
    case .failed(let code): finish(.failed(SystemError(code: code, operation: "write")))
    }
    return false
  }

  private func waitForRoom() {
    updateInterest()
    if state.hasUndelivered, !state.isCongested { resumeDelivery() }
  }

  internal func updateInterest() {
    let waiting = outputBytes
    if waiting > limits.outputHighWater {
      state.isCongested = true
    } else if waiting <= limits.outputLowWater {
      state.isCongested = false
    }
    var wanted: Interest = []
    // What a filter holds back waits for the peer, not for the socket.
    if !(filtering?.wire.value.isEmpty ?? output.isEmpty) { wanted.insert(.writable) }
    let isPaused = state.isReadingPaused || state.isCongested
    if !state.inputEnded, !isPaused || state.isLingering || state.isFinishingHandshake {
      wanted.insert(.readable)
    }
    guard wanted != interest, let watch else { return }
    interest = wanted
    do {
      try loop.update(watch, wanted)
    } catch {
      finish(.failed(error))
    }
  }

  /// Offers what was kept while the peer did not read.
  internal func resumeDelivery() {
    guard !state.isReadingPaused, !state.closesAfterFlush else { return }
    state.hasUndelivered = false
    guard !input.isEmpty else { return }
    bytesWanted = 0
    loop.atEndOfTurn { [self] in
      guard state.isOpen, !input.isEmpty, !state.isReadingPaused else { return }
      deliverKeptInput()
      checkEnd()
      settle()
    }
  }

  // MARK: Closing

  internal func finish(_ reason: CloseReason) {
    guard state.isOpen else { return }
    state.isOpen = false
    if let watch { loop.unwatch(watch) }
    watch = nil
    if let lingerTimer { loop.cancel(lingerTimer) }
    lingerTimer = nil
    _ = Glibc.close(descriptor)
    let handler = handler
    self.handler = nil
    if !state.isDelivering { release() }
    handler?.closed(self, reason: reason)
  }

  /// A connection that never started.
  private func abandon() {
    state.isOpen = false
    handler = nil
    _ = Glibc.close(descriptor)
  }

  private func release() {
    loop.buffers.value.giveBack(&input)
    loop.buffers.value.giveBack(&output)
    if let filtering { loop.buffers.value.giveBack(&filtering.wire.value) }
    count()
  }
}
