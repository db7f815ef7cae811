import RPCProcedures
import RPCSystem
import RPCTransport
import RPCWire
import Testing

@Suite("The rate of procedures' output")
struct OutputLimiterTests {
  private static func procedure(_ name: String) -> Procedure {
    Procedure(signature: Signature(service: "s", name: name, parameters: [], returns: []), language: .python)
  }

  /// What passes of `lines` (name, characters) within one second, and at its end.
  private func passed(
    _ lines: [(String, Int)], _ change: (inout RuntimeLimits) -> Void
  ) throws -> (during: [String], atTheEnd: [String]) {
    var limits = RuntimeLimits()
    change(&limits)
    let seen = Lock<[String]>([])
    let loop = try EventLoop()
    let limiter = OutputLimiter(loop: loop, limits: limits) { line in
      seen.withLock { $0.append("\(line.procedure.signature.name) \(line.text.prefix(40))") }
    }
    for (name, count) in lines {
      limiter.log(
        ProcedureOutput(
          procedure: Self.procedure(name), stream: .log, text: String(repeating: "x", count: count)))
    }
    let during = seen.withLock { $0 }
    limiter.flush()
    return (during, Array(seen.withLock { $0 }.dropFirst(during.count)))
  }

  @Test("one procedure's lines pass up to its bound, and what is dropped is counted")
  func oneProcedure() throws {
    // A line of 872 characters counts as 1000 bytes.
    let (during, atTheEnd) = try passed(Array(repeating: ("a", 872), count: 12)) {
      $0.logBytesPerSecond = 10_000
    }
    #expect(during.count == 10)
    #expect(atTheEnd == ["a (2 lines of output with 1744 bytes were "])
  }

  @Test("just as much as is allowed drops nothing")
  func justEnough() throws {
    let (during, atTheEnd) = try passed(Array(repeating: ("a", 872), count: 10)) {
      $0.logBytesPerSecond = 10_000
    }
    #expect(during.count == 10)
    #expect(atTheEnd.isEmpty)
  }

  @Test("a loud procedure leaves room for a quiet one, up to the bound of all")
  func fairness() throws {
    let lines = Array(repeating: ("loud", 872), count: 100) + Array(repeating: ("quiet", 872), count: 9)
    let (during, atTheEnd) = try passed(lines) {
      $0.logBytesPerSecond = 10_000
      $0.logBytesPerSecondOfAll = 15_000
    }
    #expect(during.count { $0.hasPrefix("loud") } == 10)
    #expect(during.count { $0.hasPrefix("quiet") } == 5)
    #expect(atTheEnd.count == 2)
  }
}
