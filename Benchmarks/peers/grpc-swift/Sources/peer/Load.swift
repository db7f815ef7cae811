import Glibc
import Synchronization

/// What Benchmarks/reference/load.c takes and prints, as far as it is needed here.
struct Options: Sendable {
  var port = 0
  var echo = false
  var connections = 1
  var outstanding = 1
  var payload = 64
  var duration = 2.0
  var warmup = 0.5
  var server: pid_t = 0

  init(_ words: [String]) {
    var words = words.flatMap { $0.split(separator: "=", maxSplits: 1).map(String.init) }[...]
    while let name = words.popFirst() {
      if name == "--json" { continue }
      let value = words.popFirst() ?? ""
      switch name {
      case "--port": port = Int(value) ?? 0
      case "--call": echo = value == "echo"
      case "--connections": connections = Int(value) ?? 1
      case "--outstanding": outstanding = Int(value) ?? 1
      case "--payload": payload = Int(value) ?? 64
      case "--duration": duration = Double(value) ?? 2
      case "--warmup": warmup = Double(value) ?? 0.5
      case "--server-pid": server = pid_t(value) ?? 0
      default: break
      }
    }
  }
}

/// Counts the answers between warm-up and end.
final class Measurement: Sendable {
  private struct State {
    var latencies: [UInt32] = []
    var before: Usage?
    var after: Usage?
  }

  private struct Usage {
    var wall: UInt64
    var client: UInt64
    var server: UInt64
  }

  private let options: Options
  private let began = Measurement.now()
  private let state = Mutex(State())

  init(_ options: Options) {
    self.options = options
    state.withLock { $0.latencies.reserveCapacity(1 << 20) }
  }

  static func now() -> UInt64 { clock(CLOCK_MONOTONIC) }

  /// Takes an answer; false when no more is to be sent.
  func answered(_ sent: UInt64) -> Bool {
    let time = Self.now()
    return state.withLock { state in
      if let before = state.before {
        guard state.after == nil else { return false }
        state.latencies.append(UInt32(clamping: time - sent))
        if Double(time - before.wall) >= options.duration * 1e9 { state.after = usage(time) }
        return state.after == nil
      }
      if Double(time - began) >= options.warmup * 1e9 { state.before = usage(time) }
      return true
    }
  }

  func report() -> String {
    state.withLock { state in
      guard let before = state.before, let after = state.after else { return "{}" }
      let sorted = state.latencies.sorted()
      let calls = Double(sorted.count)
      func us(_ fraction: Double) -> Double {
        sorted.isEmpty ? 0 : Double(sorted[min(sorted.count - 1, Int(calls * fraction))]) / 1000
      }
      let seconds = Double(after.wall - before.wall) / 1e9
      return """
        {"calls":\(sorted.count),"calls_per_second":\(calls / seconds),\
        "client_cpu_us":\(Double(after.client - before.client) / 1000 / calls),\
        "server_cpu_us":\(Double(after.server - before.server) / 1000 / calls),\
        "p50_us":\(us(0.5)),"p90_us":\(us(0.9)),"p99_us":\(us(0.99)),"p999_us":\(us(0.999)),"max_us":\(us(1))}
        """
    }
  }

  private func usage(_ wall: UInt64) -> Usage {
    var which = clockid_t()
    let known = options.server > 0 && clock_getcpuclockid(options.server, &which) == 0
    return Usage(
      wall: wall, client: Self.clock(CLOCK_PROCESS_CPUTIME_ID), server: known ? Self.clock(which) : 0)
  }

  private static func clock(_ which: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(which, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
