import RPCProcedures
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

/// One call of `system` as it travels.
protocol SystemExample: Sendable {
  var name: String { get }
  var returned: [Value] { get }
  func travels() throws
  func passesOverAdditions() throws
  /// Why the values are no answer, nil where they are one.
  func error(reading values: [Value]) -> RPCError?
}

struct Example<Procedure: SystemProcedure>: SystemExample {
  let call: Procedure
  let arguments: [Value]
  let answer: Procedure.Answer
  let returned: [Value]

  init(_ call: Procedure, _ arguments: [Value], _ answer: Procedure.Answer, _ returned: [Value]) {
    self.call = call
    self.arguments = arguments
    self.answer = answer
    self.returned = returned
  }

  var name: String { Procedure.name }

  func travels() throws {
    #expect(call.arguments == arguments)
    #expect(try Procedure(arguments: arguments) == call)
    #expect(answer.values == returned)
    #expect(try Procedure.answer(returned) == answer)
    let signature = Procedure.signature
    #expect(zip(signature.parameterTypes, arguments).allSatisfy { $0.accepts($1) })
    #expect(signature.parameters.count == arguments.count)
    #expect(zip(signature.returns, returned).allSatisfy { $0.accepts($1) })
    #expect(signature.returns.count == returned.count)
  }

  func passesOverAdditions() throws {
    guard returned != [.map([])] else { return }
    #expect(try Procedure.answer(returned.map(Self.extended)) == answer)
  }

  private static func extended(_ value: Value) -> Value {
    switch value {
    case .list(let values): .list(values.map(extended))
    case .map(let entries):
      .map(
        [.init("new", ["key": 1])] + entries.map { .init($0.key, extended($0.value)) }
          + [.init("later", nil)])
    default: value
    }
  }

  func error(reading values: [Value]) -> RPCError? {
    do throws(RPCError) {
      _ = try Procedure.answer(values)
      return nil
    } catch {
      return error
    }
  }
}

/// An answer with one key taken out, or something else in its place.
struct DamagedValue {
  let value: Value
  /// What must be said of it: `.services[1].name is missing`.
  let message: String

  /// Fields that may be left out.
  private static let mayBeMissing: Set = [
    "server", "tenants", "doc", "timeout_ms", "memory_bytes", "degraded", "topology", "topology_digest",
    "previous", "prepared_tx", "lock",
    "last_deployment_ms", "failures", "place", "key", "certificate", "ca", "deployment", "highest_serial",
  ]

  /// `name` of a parameter may be left out, that of a service or procedure may not.
  private static func mayBeMissing(_ key: String, _ path: String) -> Bool {
    mayBeMissing.contains(key) || key == "name" && path.contains(".parameters[")
  }

  static func all(of value: Value, at path: String = "") -> [DamagedValue] {
    switch value {
    case .map(let entries):
      entries.indices.flatMap { index in
        let (key, right) = (entries[index].key, entries[index].value)
        let place = "\(path).\(key)"
        func with(_ changed: Value) -> Value {
          var entries = entries
          entries[index].value = changed
          return .map(entries)
        }
        var damaged = [DamagedValue(value: with(0.5), message: "\(place) \(wrong(right))")]
        if !mayBeMissing(key, path) {
          var entries = entries
          entries.remove(at: index)
          damaged.append(DamagedValue(value: .map(entries), message: "\(place) is missing"))
        }
        return damaged
          + all(of: right, at: place).map { DamagedValue(value: with($0.value), message: $0.message) }
      }
    case .list(let values):
      values.indices.flatMap { index in
        let place = "\(path)[\(index)]"
        func with(_ changed: Value) -> Value {
          var values = values
          values[index] = changed
          return .list(values)
        }
        return [DamagedValue(value: with(0.5), message: "\(place) \(wrong(values[index]))")]
          + all(of: values[index], at: place).map {
            DamagedValue(value: with($0.value), message: $0.message)
          }
      }
    default: []
    }
  }

  private static func wrong(_ right: Value) -> String {
    switch right {
    case .string: "is not a string"
    case .int: "is not an integer"
    case .bool: "is not a bool"
    case .bytes: "is not bytes"
    case .list: "is not a list"
    default: "is not a map"
    }
  }
}

/// Random arguments and answers of `system`; the same for the same seed.
struct RandomValues {
  private var random: SeededRandom

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  mutating func value(of type: ValueType) -> Value {
    switch type {
    case .string: .string(text())
    case .int: .int(Int64(number()))
    case .bool: .bool(flag())
    case .bytes: .bytes(list { .random(in: 0...255, using: &$0.random) })
    case .list(let element): .list(list { $0.value(of: element) })
    default: .null
    }
  }

  mutating func answer<Answer: SystemAnswer>(_ type: Answer.Type) -> Answer? {
    let answer: any SystemAnswer
    switch type {
    case is String.Type: answer = text()
    case is Int.Type: answer = number()
    case is [String].Type: answer = texts()
    case is NoAnswer.Type: answer = NoAnswer()
    case is ServerCatalogue.Type: answer = catalogue()
    case is ServerStatistics.Type: answer = statistics()
    case is ServerTopology.Type: answer = topology()
    case is DeploymentStatus.Type: answer = status()
    case is DeployPrepare.Answer.Type: answer = DeployPrepare.Answer(failures: list { $0.failure() })
    case is Optional<DeploymentStatus.Lock>.Type:
      let lock = optional { $0.lock() }
      return lock as? Answer
    default: return nil
    }
    return answer as? Answer
  }

  // MARK: Parts

  private mutating func number() -> Int {
    flag() ? .random(in: .min ... .max, using: &random) : .random(in: -2...2, using: &random)
  }

  private mutating func flag() -> Bool { Bool.random(using: &random) }

  private mutating func text() -> String {
    let letters = ["a", "é", "e\u{301}", "\u{212a}", "K", " ", "\"", "\n", "\u{0}", "🧮"]
    var text = ""
    for _ in 0..<Int.random(in: 0...4, using: &random) { text += letters.randomElement(using: &random) ?? "" }
    return text
  }

  private mutating func texts() -> [String] { list { $0.text() } }

  private mutating func list<Element>(_ element: (inout RandomValues) -> Element) -> [Element] {
    (0..<Int.random(in: 0...3, using: &random)).map { _ in element(&self) }
  }

  private mutating func optional<Part>(_ part: (inout RandomValues) -> Part) -> Part? {
    flag() ? part(&self) : nil
  }

  private mutating func type(depth: Int = 0) -> ValueType {
    let plain: [ValueType] = [.int, .float, .string, .bool, .bytes, .any]
    switch depth < 3 ? Int.random(in: 0..<9, using: &random) : 0 {
    case 6: return .list(type(depth: depth + 1))
    case 7: return .dict(type(depth: depth + 1))
    case 8: return .optional(.list(type(depth: depth + 1)))
    default: return plain.randomElement(using: &random) ?? .any
    }
  }

  // MARK: Answers

  private mutating func catalogue() -> ServerCatalogue {
    ServerCatalogue(
      server: optional { $0.text() }, version: text(), generation: number(), digest: text(),
      topologyDigest: optional { $0.text() }, startedMilliseconds: number(),
      services: list { random in
        let name = random.text()
        return ServerCatalogue.Service(
          name: name, tenants: random.optional { $0.texts() }, providers: random.texts(),
          procedures: random.list { $0.procedure(of: name) })
      })
  }

  private mutating func procedure(of service: String) -> Procedure {
    // What has no source is a closure.
    let digest = text()
    let deployed = [Language.lua, .python, Language(name: "swift")]
    return Procedure(
      signature: Signature(
        service: service, name: text(),
        parameters: list { random in Parameter(random.type(), name: random.optional { $0.text() }) },
        returns: list { $0.type() }),
      language: digest.isEmpty ? .closure : deployed.randomElement(using: &random) ?? .lua,
      function: text(), digest: digest, sourceName: text(), documentation: optional { $0.text() },
      timeoutMilliseconds: optional { $0.number() }, memoryBytes: optional { $0.number() },
      idempotent: flag())
  }

  private mutating func topology() -> ServerTopology {
    ServerTopology(
      server: optional { $0.text() }, generation: number(), topologyDigest: optional { $0.text() },
      authorities: optional { $0.text() },
      servers: list { random in
        ServerTopology.Server(
          name: random.text(), host: random.text(), port: random.number(), key: random.optional { $0.text() },
          certificate: random.optional { $0.text() })
      },
      services: list { ServerTopology.Service(name: $0.text(), providers: $0.texts()) })
  }

  private mutating func statistics() -> ServerStatistics {
    var statistics = ServerStatistics()
    for path in [
      \ServerStatistics.connections, \.connectionsTotal, \.connectionsRefused, \.calls, \.callsInFlight,
      \.errors, \.cancelled, \.deadlineExceeded, \.refused, \.bytesIn, \.bytesOut, \.uptimeMilliseconds,
      \.loops, \.generation,
    ] { statistics[keyPath: path] = number() }
    statistics.procedures = list { random in
      .init(
        service: random.text(), procedure: random.text(), types: random.texts(), calls: random.number(),
        errors: random.number(), microseconds: random.number())
    }
    statistics.degraded = optional { $0.text() }
    return statistics
  }

  private mutating func status() -> DeploymentStatus {
    DeploymentStatus(
      generation: number(), digest: text(), topology: optional { $0.number() },
      topologyDigest: optional { $0.text() }, previous: optional { $0.number() },
      preparedTransaction: optional { $0.text() }, lock: optional { $0.lock() },
      lastDeploymentMilliseconds: optional { $0.number() }, degraded: optional { $0.text() },
      deployment: optional { $0.deployment() }, highestSerial: optional { $0.number() })
  }

  private mutating func deployment() -> DeploymentStatus.Deployment {
    var deployment = DeploymentStatus.Deployment(Samples.origin(1), isTrusted: flag())
    deployment.id = text()
    deployment.serial = number()
    deployment.message = optional { $0.text() }
    deployment.commit = optional { $0.text() }
    deployment.rollbackOf = optional { $0.number() }
    deployment.leftOut = texts()
    return deployment
  }

  private mutating func lock() -> DeploymentStatus.Lock {
    DeploymentStatus.Lock(who: text(), remainingMilliseconds: number())
  }

  private mutating func failure() -> LoadFailure {
    LoadFailure(
      digest: text(), sourceName: text(), procedures: texts(), message: text(), place: optional { $0.text() })
  }
}
