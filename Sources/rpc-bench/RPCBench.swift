import ArgumentParser
import CLinux
import Glibc
import RPCArguments
import RPCClient
import RPCDeployment
import RPCSystem
import RPCTransport
import RPCWire

/// The load generator: parses what is asked, tries the procedure once, loads it and prints what it saw.
@main
struct RPCBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rpc-bench",
    abstract: "Loads a procedure of a running server and measures latency, throughput and CPU per call.",
    discussion: """
      Arguments are written as in JSON (1, 2.5, true, null, "text", [1, 2]); what is not JSON is a string. \
      Without --rate each connection keeps --outstanding calls in flight. With --rate calls are due at fixed \
      times whether or not earlier ones were answered, and latency counts from when a call was due, so a \
      server that stalls cannot hide it.

      rpc-bench 127.0.0.1 8282 math.add 1 2 --connections 50 --server-pid $(pgrep -n rpc-server)
      """,
    version: Release.version)

  @Argument(help: "The server's address.", completion: .custom { _, _, _ in Self.names.hosts })
  var host: String
  @Argument(
    help: "The server's port.",
    completion: .custom { words, index, _ in Self.names.ports(after: words.prefix(index)) })
  var port: UInt16
  @Argument(
    help: "SERVICE.PROCEDURE.",
    completion: .custom { words, index, _ in Self.names.procedures(after: words.prefix(index)) })
  var procedure: String
  @Argument(help: "The call's arguments.") var arguments: [String] = []

  @Option(help: "What makes the calls: raw (the wire alone), callback, async or blocking.")
  var mode: LoadMode = .raw
  @Option(help: "Connections; in the other modes than raw, clients with one connection each.")
  var connections = 1
  @Option(help: "Calls in flight per connection.") var outstanding = 1
  @Option(help: "Appends an argument of this many bytes.") var payload: Int?
  @Option(help: "Seconds to measure.") var duration = 5.0
  @Option(help: "Measures this many calls instead of a duration.") var count: Int?
  @Option(help: "Seconds to load before measuring.") var warmup = 1.0
  @Option(help: "Calls per second over all connections: the open loop.") var rate: Double?
  @Option(help: "Milliseconds that each call may take.") var timeout: UInt32?
  @Option(
    name: [.customLong("as")], help: "The client identity, a name of network.clients.",
    completion: .custom { _, _, _ in Self.names.clients })
  var identity: String?
  @Option(help: "The pin of the server's certificate, sha256//BASE64: speaks TLS to it.")
  var certificate: String?
  @OptionGroup var certificateOptions: CertificateOptions

  @Option(help: "Reads this process's CPU time, to tell the server's cost per call.") var serverPid: Int32?
  @Option(help: "Microseconds to spin for an answer before sleeping.") var busyPoll: UInt64 = 0
  @Flag(help: "Prints one JSON object.") var json = false

  /// What shells complete with: this directory's init.yaml.
  private static var names: NetworkNames { NetworkNames(words: [], flag: "") }

  func validate() throws {
    guard (1...BenchLimits.connections).contains(connections) else {
      throw ValidationError("--connections is a number from 1 to \(BenchLimits.connections)")
    }
    guard mode == .raw || connections <= BenchLimits.clients else {
      throw ValidationError("--connections is at most \(BenchLimits.clients) with --mode \(mode.rawValue)")
    }
    guard (1...BenchLimits.outstanding).contains(outstanding) else {
      throw ValidationError("--outstanding is a number from 1 to \(BenchLimits.outstanding)")
    }
    guard mode != .blocking || connections * outstanding <= BenchLimits.threads else {
      throw ValidationError("a blocking call holds a thread: at most \(BenchLimits.threads) in all")
    }
    guard (0...WireLimits.frameBytesMax).contains(payload ?? 0) else {
      throw ValidationError("--payload is a number of bytes up to \(WireLimits.frameBytesMax)")
    }
    guard duration > 0, duration <= BenchLimits.seconds, warmup >= 0, warmup <= BenchLimits.seconds else {
      throw ValidationError("--duration and --warmup are seconds up to \(Int(BenchLimits.seconds))")
    }
    guard rate.map({ $0 > 0 && $0 <= BenchLimits.rate }) ?? true else {
      throw ValidationError("--rate is a number above 0, at most \(Int(BenchLimits.rate))")
    }
    guard count.map({ $0 > 0 }) ?? true else { throw ValidationError("--count is a number above 0") }
    do {
      _ = try certificate.map { try CertificatePin(parsing: $0) }
    } catch {
      throw ValidationError("--certificate: \(error)")
    }
    guard procedure.contains(".") else { throw ValidationError("a procedure is SERVICE.PROCEDURE") }
    guard serverPid.map({ CPUTime.of(process: $0) != nil }) ?? true else {
      throw ValidationError("there is no process \(serverPid ?? 0)")
    }
  }

  func run() throws {
    raiseDescriptorLimit()
    var values = arguments.map(ArgumentText.value)
    if let payload { values.append(.bytes((0..<payload).map { UInt8(truncatingIfNeeded: $0) })) }
    var plan = LoadPlan(host: host, port: port, procedure: procedure, arguments: values)
    plan.connections = connections
    plan.outstanding = outstanding
    plan.identity = identity
    plan.certificate = try certificate.map { try CertificatePin(parsing: $0) }
    if let files = certificateOptions.files {
      do {
        plan.ownCertificate = try OwnCertificate(certificate: files.certificate, key: files.key)
      } catch {
        throw ValidationError("--tls-certificate: \(error)")
      }
    }
    plan.timeoutMilliseconds = timeout
    plan.busyPollMicroseconds = busyPoll
    plan.rate = rate
    let benchmark = BenchmarkRun(
      plan: plan, mode: mode, warmupSeconds: warmup, durationSeconds: duration, count: count,
      serverProcess: serverPid)
    let report: Report
    do {
      report = try benchmark.run()
    } catch {
      StandardStreams.write("rpc-bench: \(error)\n", to: 2)
      throw ExitCode.failure
    }
    StandardStreams.write((json ? report.json : report.text) + "\n", to: 1)
    let code: Int32 = report.measurements.failed > 0 ? 1 : 0
    throw ExitCode(StandardStreams.exitCode(code, of: "rpc-bench"))
  }

  static func main() {
    StandardDescriptors.openMissing()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      if let code = error as? ExitCode { Glibc.exit(code.rawValue) }
      StandardStreams.end(
        saying: fullMessage(for: error), isHelp: exitCode(for: error) == .success, of: "rpc-bench")
    }
  }

  /// As many descriptors as the system lets us have: each connection needs one.
  private func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}

/// What makes the calls.
enum LoadMode: String, ExpressibleByArgument, CaseIterable {
  case raw, callback, async, blocking
}

/// What the generator's options may be at most.
enum BenchLimits {
  static let connections = 50_000
  /// Each client has a thread.
  static let clients = 256
  static let threads = 1024
  static let outstanding = 65_536
  static let seconds = 86_400.0
  static let rate = 10_000_000.0
}

/// Reads an argument as people write it.
enum ArgumentText {
  static func value(_ text: String) -> Value {
    (try? Value(json: text)) ?? .string(text)
  }
}
