import RPCSystem
import Testing

@testable import RPCTransport

@Suite("The timing wheel")
struct TimerTests {
  private final class Target: TimerTarget {
    func timerFired(tag: UInt64, on loop: EventLoop) {}
  }

  @Test(
    "a timer fires at its tick, neither early nor more than one late",
    arguments: [1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 100_000, 16_777_216, 20_000_000]
      as [UInt64])
  func firesOnTime(milliseconds: UInt64) {
    let target = Target()
    for start in [0, 1, 254, 255, 256, 65_535, 65_536, 1_000_003] as [UInt64] {
      var queue = TimerQueue(now: start * 1_000_000)
      _ = queue.schedule(at: (start + milliseconds) * 1_000_000, target: target, tag: 7)
      #expect(queue.nextDue(now: (start + milliseconds) * 1_000_000 - 1) == nil)
      #expect(queue.nextDue(now: (start + milliseconds) * 1_000_000)?.tag == 7)
      #expect(queue.count == 0)
    }
  }

  @Test("the time to the next timer is never beyond it, and leads there")
  func timeToNext() {
    let target = Target()
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<200 {
      let start = UInt64.random(in: 0...100_000, using: &generator)
      let delay = UInt64.random(in: 1...300_000, using: &generator)
      var queue = TimerQueue(now: start * 1_000_000)
      _ = queue.schedule(at: (start + delay) * 1_000_000, target: target, tag: 0)
      var now = start
      var steps = 0
      while queue.nextDue(now: now * 1_000_000) == nil {
        guard queue.next < .max else { break }
        #expect(queue.next <= (start + delay) * 1_000_000, "slept beyond: start \(start), delay \(delay)")
        now = max(now + 1, queue.next / 1_000_000)
        steps += 1
        #expect(steps < 20)
      }
      #expect(now == start + delay, "start \(start), delay \(delay)")
    }
  }

  @Test("many timers come in order, and the cancelled ones not at all")
  func order() {
    let target = Target()
    var queue = TimerQueue(now: 0)
    var expected: [UInt64] = []
    for index in 0..<2000 {
      let tick = UInt64(index * 7919 % 70_001 + 1)
      let id = queue.schedule(at: tick * 1_000_000, target: target, tag: tick)
      if index % 3 == 0 { queue.cancel(id) } else { expected.append(tick) }
    }
    var fired: [UInt64] = []
    while let due = queue.nextDue(now: 80_000 * 1_000_000) { fired.append(due.tag) }
    #expect(fired == expected.sorted())
  }

  @Test("cancelling twice, or after firing, does nothing")
  func staleCancel() {
    let target = Target()
    var queue = TimerQueue(now: 0)
    let first = queue.schedule(at: 1_000_000, target: target, tag: 1)
    queue.cancel(first)
    queue.cancel(first)
    let second = queue.schedule(at: 2_000_000, target: target, tag: 2)
    queue.cancel(first)
    #expect(queue.nextDue(now: 2_000_000)?.tag == 2)
    queue.cancel(second)
    #expect(queue.count == 0)
  }

  @Test("whatever is scheduled, cancelled and waited for, a plain list would have fired the same")
  func model() {
    let target = Target()
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<100 {
      var now = UInt64.random(in: 0...1 << 33, using: &generator) * 1_000_000
      var queue = TimerQueue(now: now)
      var pending: [UInt64: (due: UInt64, id: TimerID)] = [:]
      var tag: UInt64 = 0
      for _ in 0..<300 {
        switch Int.random(in: 0..<4, using: &generator) {
        case 0, 1:
          // Of every magnitude up to days, at odd nanoseconds.
          let reach = UInt64(1) << UInt64.random(in: 1...48, using: &generator)
          let due = now + UInt64.random(in: 0...reach, using: &generator)
          tag += 1
          pending[tag] = (due, queue.schedule(at: due, target: target, tag: tag))
        case 2:
          if let (tag, entry) = pending.randomElement(using: &generator) {
            queue.cancel(entry.id)
            pending[tag] = nil
          }
        default:
          now += UInt64.random(
            in: 0...UInt64(1) << UInt64.random(in: 1...46, using: &generator), using: &generator)
        }
        while let fired = queue.nextDue(now: now) {
          let entry = pending.removeValue(forKey: fired.tag)
          #expect(entry.map { $0.due <= now } == true, "fired early, twice or after it was cancelled")
        }
        // One tick of lateness is allowed.
        #expect(!pending.values.contains { $0.due + 1_000_000 < now }, "late")
        #expect(queue.count == pending.count)
        #expect(queue.count > 0 || queue.next == .max)
        if let next = pending.values.map(\.due).min() {
          #expect(queue.next <= max(next, now) + 2_000_000, "would sleep too long")
        }
      }
    }
  }
}

@Suite("The timers of a loop that sleeps")
struct SleepTests {
  /// Notes what fires, and schedules one more after the last.
  private final class Recorder: TimerTarget {
    var fired: [UInt64] = []
    let done: ([UInt64]) -> Void

    init(_ done: @escaping ([UInt64]) -> Void) {
      self.done = done
    }

    func timerFired(tag: UInt64, on loop: EventLoop) {
      fired.append(tag)
      switch tag {
      case 60: loop.schedule(after: 5_000_000, self, tag: 70)
      case 70: done(fired)
      default: break
      }
    }
  }

  @Test("fire in the order in which they are due, whichever the alarm was set for, and cancelled ones do not")
  func order() throws {
    let fired = Lock<[UInt64]>([])
    let finished = Latch()
    let thread = try LoopThread(name: "timers") { loop in
      let recorder = Recorder { tags in
        fired.withLock { $0 = tags }
        finished.signal()
      }
      for milliseconds in [40, 5, 20, 1, 60] as [UInt64] {
        let id = loop.schedule(after: milliseconds * 1_000_000, recorder, tag: milliseconds)
        if milliseconds == 20 { loop.cancel(id) }
      }
    }
    finished.wait()
    thread.stop()
    thread.join()
    #expect(fired.withLock { $0 } == [1, 5, 40, 60, 70])
  }
}

@Suite("A loop with a clock that is turned")
struct ManualClockTests {
  @Test("a timer of an hour fires when the clock has been turned that far, and not before")
  func fires() throws {
    let clock = ManualClock()
    let thread = try LoopThread(name: "turned", clock: clock)
    let fired = Lock(0)
    let scheduled = Latch()
    let end = Latch()
    final class Counter: TimerTarget {
      let body: () -> Void
      init(_ body: @escaping () -> Void) { self.body = body }
      func timerFired(tag: UInt64, on loop: EventLoop) { body() }
    }
    thread.mailbox.post { loop in
      let counter = Counter {
        fired.withLock { $0 += 1 }
        end.signal()
      }
      loop.schedule(after: 3_600_000_000_000, counter)
      scheduled.signal()
    }
    scheduled.wait()
    clock.advance(by: .seconds(3_599))
    // A message that comes after the turn of the clock is handled after the timers of that turn.
    for _ in 0..<2 {
      let seen = Latch()
      thread.mailbox.post { _ in seen.signal() }
      seen.wait()
    }
    #expect(fired.withLock { $0 } == 0)
    clock.advance(by: .seconds(1))
    end.wait()
    #expect(fired.withLock { $0 } == 1)
    thread.stop()
    thread.join()
  }
}
