package import RPCProcedures
package import RPCWire

/// What a procedure of `system` returns.
package protocol SystemAnswer: Hashable, Sendable {
  static var types: [ValueType] { get }
  /// The return values.
  var values: [Value] { get }
  init(values: [Value]) throws(SystemDecodingError)
}

/// The answer of a procedure that returns nothing.
package struct NoAnswer: SystemAnswer {
  package static var types: [ValueType] { [] }
  package var values: [Value] { [] }
  package init() {}
  package init(values: [Value]) throws(SystemDecodingError) {}
}

/// A type that travels in arguments and answers of `system`; alone, it is the one return value.
package protocol SystemValue: SystemAnswer {
  static var type: ValueType { get }
  var encoded: Value { get }
  init(decoding value: Value) throws(SystemDecodingError)
}

extension SystemValue {
  package static var types: [ValueType] { [type] }
  package var values: [Value] { [encoded] }
  package init(values: [Value]) throws(SystemDecodingError) {
    guard let value = values.first else { throw .missing }
    try self.init(decoding: value)
  }
}

/// Why an argument or an answer is not what the contract says: where, and what is wrong there.
package struct SystemDecodingError: Error, Hashable, Sendable {
  /// From the outside in: `.services`, `[2]`, `.name`.
  private var path: [String] = []
  private let problem: String

  init(_ problem: String) { self.problem = problem }

  static let missing = SystemDecodingError("is missing")

  func within(_ step: String) -> SystemDecodingError {
    var error = self
    error.path.insert(step, at: 0)
    return error
  }

  /// `catalogue.services[2].name is missing`
  package func description(of whole: String) -> String { "\(whole)\(path.joined()) \(problem)" }
}

// MARK: Plain values

extension String: SystemValue {
  package static var type: ValueType { .string }
  package var encoded: Value { .string(self) }
  package init(decoding value: Value) throws(SystemDecodingError) {
    guard let text = value.stringValue else { throw SystemDecodingError("is not a string") }
    self = text
  }
}

extension Int: SystemValue {
  package static var type: ValueType { .int }
  package var encoded: Value { .int(Int64(self)) }
  package init(decoding value: Value) throws(SystemDecodingError) {
    guard let number = value.intValue else { throw SystemDecodingError("is not an integer") }
    self = Int(number)
  }
}

extension Bool: SystemValue {
  package static var type: ValueType { .bool }
  package var encoded: Value { .bool(self) }
  package init(decoding value: Value) throws(SystemDecodingError) {
    guard let flag = value.boolValue else { throw SystemDecodingError("is not a bool") }
    self = flag
  }
}

extension Bytes: SystemValue {
  package static var type: ValueType { .bytes }
  package var encoded: Value { .bytes(storage) }
  package init(decoding value: Value) throws(SystemDecodingError) {
    guard let bytes = value.bytesValue else { throw SystemDecodingError("is not bytes") }
    self.init(bytes)
  }
}

extension Array: SystemAnswer where Element: SystemValue {}

extension Array: SystemValue where Element: SystemValue {
  package static var type: ValueType { .list(Element.type) }
  package var encoded: Value { .list(map(\.encoded)) }
  package init(decoding value: Value) throws(SystemDecodingError) {
    guard let values = value.listValue else { throw SystemDecodingError("is not a list") }
    self = []
    reserveCapacity(values.count)
    for (index, value) in values.enumerated() {
      do throws(SystemDecodingError) {
        append(try Element(decoding: value))
      } catch {
        throw error.within("[\(index)]")
      }
    }
  }
}

// MARK: What travels as text

extension ValueType: SystemValue {
  package static var type: ValueType { .string }
  package var encoded: Value { .string(description) }
  /// A type that only newer programs know takes anything: the server decides.
  package init(decoding value: Value) throws(SystemDecodingError) {
    let text = try String(decoding: value)
    self = (try? ValueType(parsing: text)) ?? .any
  }
}

extension Language: SystemValue {
  package static var type: ValueType { .string }
  package var encoded: Value { .string(rawValue) }
  /// `swift` is a closure here; `Procedure` tells it from a deployed source by the digest. What is not a name of a language is
  /// taken for a closure too, which nothing here deploys.
  package init(decoding value: Value) throws(SystemDecodingError) {
    self = Language(rawValue: try String(decoding: value)) ?? .closure
  }
}
