import RPCProcedures
import RPCServer
import RPCWire
import RegexBuilder
import Testing

@testable import RPCServer

/// The page that Prometheus reads, checked by the rules of its text format (0.0.4).
@Suite("Metrics")
struct MetricsTests {
  /// What is wrong with a page, nil for nothing.
  static func problem(_ page: String) -> String? {
    guard page.hasSuffix("\n") else { return "the last line has no end" }
    var types: [String: String] = [:]
    var helped: Set<String> = []
    var current = ""
    var seen: Set<String> = []
    var buckets: [String: [(String, Int)]] = [:]
    var counts: [String: Int] = [:]
    for line in page.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
      if let help = line.wholeMatch(of: #/# HELP ([a-z_]+) ([^\n]+)/#) {
        guard helped.insert(String(help.output.1)).inserted else { return "two helps: \(line)" }
        continue
      }
      if let type = line.wholeMatch(of: #/# TYPE ([a-z_]+) (counter|gauge|histogram)/#) {
        current = String(type.output.1)
        guard helped.contains(current) else { return "no help: \(line)" }
        guard types.updateValue(String(type.output.2), forKey: current) == nil else {
          return "two types: \(line)"
        }
        guard (type.output.2 == "counter") == current.hasSuffix("_total") else {
          return "not named so: \(line)"
        }
        continue
      }
      let label = #/[a-z_]+="(?:[^"\\\n]|\\["\\n])*"/#
      let sample = Regex {
        Capture { #/[a-z_]+/# }
        Optionally {
          "{"
          Capture {
            label
            ZeroOrMore {
              ","
              label
            }
          }
          "}"
        }
        " "
        Capture { #/[0-9]+(?:\.[0-9]+)?/# }
      }
      guard let match = line.wholeMatch(of: sample) else { return "no sample: \(line)" }
      let name = String(match.output.1)
      let labels = match.output.2.map(String.init) ?? ""
      guard seen.insert("\(name){\(labels)}").inserted else { return "twice: \(line)" }
      guard types[current] == "histogram" else {
        guard name == current else { return "not with its kind: \(line)" }
        continue
      }
      let ending = name.dropFirst(current.utf8.count)
      guard name.hasPrefix(current), ["_bucket", "_sum", "_count"].contains(ending) else {
        return "not with its kind: \(line)"
      }
      let series = labels.replacing(#/,le="[^"]*"/#, with: "")
      if ending == "_bucket" {
        guard let bound = labels.firstMatch(of: #/le="([^"]*)"/#), let value = Int(match.output.3) else {
          return "no bound: \(line)"
        }
        buckets[series, default: []].append((String(bound.output.1), value))
      }
      if ending == "_count" { counts[series] = Int(match.output.3) }
    }
    for (series, values) in buckets {
      let bounds = values.map { $0.0 == "+Inf" ? Double.infinity : Double($0.0) ?? -1 }
      guard bounds == bounds.sorted(), bounds.last == .infinity else {
        return "bounds of \(series): \(bounds)"
      }
      guard values.map(\.1) == values.map(\.1).sorted() else { return "falling: \(series)" }
      guard counts[series] == values.last?.1 else { return "not the count: \(series)" }
    }
    return nil
  }

  private static func value(_ page: String, _ sample: String) -> String? {
    page.split(separator: "\n").first { $0.hasPrefix(sample + " ") }.map {
      String($0.dropFirst(sample.utf8.count + 1))
    }
  }

  @Test("the page is as its format says, and counts what happened whichever way it came")
  func page() throws {
    let server = try TestServer()
    let peer = try HTTPPeer(port: server.port)
    for _ in 0..<3 { _ = peer.ask(HTTPPeer.call("/math/add", "[1,2]")) }
    _ = peer.ask(HTTPPeer.call("/test/raise", "[]"))
    _ = peer.ask(HTTPPeer.call("/list/sum", "[[1]]"))
    _ = peer.ask(HTTPPeer.call("/math/nothing", "[]"))
    _ = peer.ask(HTTPPeer.call("/math/add", "[1,2]", ["origin: http://evil.example"]))
    let native = try RawPeer.greeted(port: server.port)
    let add = try native.bind("math", "add", [.int, .int])
    native.startCall(add, [1, 2])
    _ = native.next()
    let grpc = try HTTP2Peer(port: server.port)
    #expect(grpc.call("/math/add", HTTP2Peer.add(1, 2)).status == 0)
    #expect(grpc.call("/test/raise", HTTP2Peer.message([])).status == 2)
    #expect(grpc.call("/math/nothing", HTTP2Peer.message([])).status == 12)
    let answer = try #require(peer.ask(HTTPPeer.request("GET", "/metrics")))
    #expect(answer["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
    let page = answer.body
    #expect(Self.problem(page) == nil)
    let add2 = #"service="math",procedure="add",types="int, int""#
    #expect(Self.value(page, "simplerpc_calls_total{\(add2)}") == "5")
    let raise = #"service="test",procedure="raise",types="",code="unknown""#
    #expect(Self.value(page, "simplerpc_call_errors_total{\(raise)}") == "2")
    let other = #"service="other",procedure="other",types="",code="#
    #expect(Self.value(page, "simplerpc_call_errors_total{\(other)\"unimplemented\"}") == "2")
    #expect(Self.value(page, "simplerpc_call_errors_total{\(other)\"permission_denied\"}") == "1")
    let sum = #"service="list",procedure="sum",types="List[int]""#
    #expect(Self.value(page, "simplerpc_call_duration_seconds_count{\(sum)}") == "1")
    #expect(Self.value(page, "simplerpc_connections") == "3")
    #expect(Self.value(page, "simplerpc_generation") == "0")
  }

  static func report(procedures: Int) -> MetricsReport {
    var metrics = ProcedureMetrics()
    metrics.calls = 5
    metrics.countDuration(300_000)
    metrics.countDuration(40_000_000_000)
    metrics.countError(.unknown)
    let signature = { (index: Int) in
      Signature(service: "s", name: "p\(index)", parameters: [Parameter(.list(.int))], returns: [])
    }
    let bound = (0..<procedures).map {
      BoundProcedure(
        id: UInt32($0), procedure: Procedure(signature: signature($0), language: .lua),
        implementation: .system(0),
        service: 0)
    }
    var snapshot = LoopSnapshot()
    snapshot.procedures = Array(repeating: metrics, count: procedures)
    snapshot.loads = [.lua: RuntimeLoad(running: 1, queued: 2, workers: 0)]
    return MetricsReport(
      snapshot, Catalogue(serial: 1, digest: "", services: [], clients: [], procedures: bound),
      MetricsReport.ServerFacts(
        version: "1\"2\\3", name: "s1", startedMilliseconds: 1_500, generation: 1, isDegraded: true, loops: 2)
    )
  }

  /// The page, and the most bytes that one piece of it has.
  static func written(_ report: MetricsReport) -> (page: String, longest: Int, pieces: Int) {
    var page = ByteQueue()
    var next: MetricsReport.Position? = MetricsReport.Position()
    var longest = 0
    var pieces = 0
    while let position = next {
      let before = page.count
      next = report.append(from: position, to: &page)
      longest = max(longest, page.count - before)
      pieces += 1
    }
    return (String(decoding: page.copy(), as: UTF8.self), longest, pieces)
  }

  @Test("however many procedures there are, each piece of the page is small")
  func pieces() {
    let few = Self.written(Self.report(procedures: 3))
    #expect(Self.problem(few.page) == nil)
    #expect(few.page.contains(#"simplerpc_info{version="1\"2\\3",server="s1"} 1"#))
    #expect(few.page.contains("simplerpc_start_time_seconds 1.5\n"))
    #expect(few.page.contains(#"le="0.0001"} 0"#) && few.page.contains(#"le="0.0005"} 1"#))
    #expect(few.page.contains(#"le="30"} 1"#) && few.page.contains(#"le="+Inf"} 2"#))
    #expect(few.page.contains("_sum{service=\"s\",procedure=\"p0\",types=\"List[int]\"} 40.0003\n"))
    let many = Self.written(Self.report(procedures: 10_000))
    #expect(many.pieces > 100 && many.longest < 1024 * 1024)
    #expect(many.page.contains(#"procedure="p9999""#))
    #expect(many.page.matches(of: #/# TYPE/#).count == few.page.matches(of: #/# TYPE/#).count)
  }

  @Test("a client that does not read gets no more than it can hold, and its neighbours are served")
  func slowReader() throws {
    let server = try TestServer()
    let neighbour = try Neighbour(port: server.port)
    let peer = try HTTPPeer(port: server.port)
    for _ in 0..<200 { peer.send(HTTPPeer.request("GET", "/metrics")) }
    #expect(neighbour.wasLeftAlone())
    for _ in 0..<200 { #expect(peer.next().map { Self.problem($0.body) == nil } == true) }
  }

  @Test("health says what is wrong, and 503 where nothing is served")
  func health() {
    func text(_ draining: Bool, _ degraded: String?, _ empty: Bool) -> String {
      let health = ServerHealth(isDraining: draining, degraded: degraded, isEmpty: empty)
      return "\(health.isServing) \(Value.map(health.fields).json)"
    }
    #expect(text(false, nil, false) == #"true {"status":"serving"}"#)
    #expect(text(false, "disk", false) == #"true {"status":"degraded","degraded":"disk"}"#)
    #expect(text(false, "disk", true) == #"false {"status":"empty","degraded":"disk"}"#)
    #expect(text(true, nil, false) == #"false {"status":"draining"}"#)
  }
}
