public import RPCWire

/// A Swift closure as a procedure, with its decoding and encoding: reads the list of arguments in place and
/// appends the list of return values. It runs on the loop, or beside it, and must return soon.
///
/// - Throws: `InvalidArguments` (not executed) where the arguments do not fit, `ExecutionException` (executed)
///   where the closure threw.
public typealias NativeBody =
  @Sendable (_ arguments: inout MessagePackReader, _ output: inout ByteQueue) throws(RPCError) -> Void

/// A Swift closure that may suspend: it runs off the loop, as a task, on the concurrency pool.
public typealias AsyncBody = @Sendable @concurrent (_ arguments: [UInt8]) async throws(RPCError) -> [UInt8]

/// How a Swift closure is called.
public enum NativeImplementation: Sendable {
  case immediate(NativeBody)
  case suspending(AsyncBody)
}

/// A Swift closure that a program offers as a procedure. Its types are the procedure's types.
///
/// ```swift
/// NativeProcedure("math.add") { (a: Int, b: Int) in a + b }
/// NativeProcedure("text.split") { (text: String) in (String(text.prefix(1)), String(text.dropFirst())) }
/// ```
///
/// A closure runs on the server's loop, or with long lists as arguments on a thread beside it, and must return soon;
/// `NativeProcedure(suspending:)` takes one that may wait. What it throws becomes an `ExecutionException`, an `RPCError` goes to the caller as it is.
public struct NativeProcedure: Sendable {
  public var procedure: Procedure
  public var implementation: NativeImplementation

  // The inits are inlinable, so that a closure's decoding and encoding are compiled for its types where it is
  // registered: unspecialised, each call looks up tuple metadata, which costs more than the call.

  /// A closure with one return value.
  @inlinable
  public init<each Argument: RPCValue, Return: RPCValue>(
    _ name: QualifiedName, documentation: String? = nil, idempotent: Bool = false,
    _ body: @escaping @Sendable (repeat each Argument) throws -> Return
  ) {
    var parameters: [ValueType] = []
    for type in repeat (each Argument).self { parameters.append(type.valueType) }
    let arity = parameters.count
    self.init(name, documentation, idempotent, parameters, [Return.valueType]) {
      (arguments, output) throws(RPCError) in
      let result: Return
      do {
        var left = try ArgumentMismatch.begin(&arguments, arity: arity)
        result = try body(repeat try ArgumentMismatch.decode((each Argument).self, &arguments, &left))
      } catch {
        throw ArgumentMismatch.explain(error)
      }
      output.appendListHeader(count: 1)
      result.encode(to: &output)
    }
  }

  /// A closure with several return values, or none.
  @_disfavoredOverload
  @inlinable
  public init<each Argument: RPCValue, each Return: RPCValue>(
    _ name: QualifiedName, documentation: String? = nil, idempotent: Bool = false,
    _ body: @escaping @Sendable (repeat each Argument) throws -> (repeat each Return)
  ) {
    var parameters: [ValueType] = []
    for type in repeat (each Argument).self { parameters.append(type.valueType) }
    var returns: [ValueType] = []
    for type in repeat (each Return).self { returns.append(type.valueType) }
    let arity = parameters.count
    let returned = returns.count
    self.init(name, documentation, idempotent, parameters, returns) { (arguments, output) throws(RPCError) in
      let result: (repeat each Return)
      do {
        var left = try ArgumentMismatch.begin(&arguments, arity: arity)
        result = try body(repeat try ArgumentMismatch.decode((each Argument).self, &arguments, &left))
      } catch {
        throw ArgumentMismatch.explain(error)
      }
      output.appendListHeader(count: returned)
      for value in repeat each result { value.encode(to: &output) }
    }
  }

  /// What both inits come to.
  @usableFromInline
  internal init(
    _ name: QualifiedName, _ documentation: String?, _ idempotent: Bool, _ parameters: [ValueType],
    _ returns: [ValueType], _ body: @escaping NativeBody
  ) {
    procedure = Self.describe(name, documentation, idempotent, parameters, returns)
    implementation = .immediate(body)
  }

  /// A closure that may wait, with one return value: it runs as a task, which a cancelled call cancels.
  public init<each Argument: RPCValue, Return: RPCValue>(
    suspending name: QualifiedName, documentation: String? = nil, idempotent: Bool = false,
    _ body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Return
  ) {
    procedure = Self.describe(
      name, documentation, idempotent, Self.types((repeat (each Argument).self)), [Return.valueType])
    implementation = .suspending(
      Self.suspending(body) { (result, output) in
        output.appendListHeader(count: 1)
        result.encode(to: &output)
      })
  }

  /// A closure that may wait, with several return values, or none.
  @_disfavoredOverload
  public init<each Argument: RPCValue, each Return: RPCValue>(
    suspending name: QualifiedName, documentation: String? = nil, idempotent: Bool = false,
    _ body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> (repeat each Return)
  ) {
    let returns = Self.types((repeat (each Return).self))
    procedure = Self.describe(
      name, documentation, idempotent, Self.types((repeat (each Argument).self)), returns)
    implementation = .suspending(
      Self.suspending(body) { (result: (repeat each Return), output) in
        output.appendListHeader(count: returns.count)
        for value in repeat each result { value.encode(to: &output) }
      })
  }

  // MARK: Between the wire and the closure

  private static func suspending<each Argument: RPCValue, Return>(
    _ body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Return,
    encode: @escaping @Sendable (Return, inout ByteQueue) -> Void
  ) -> AsyncBody {
    let arity = types((repeat (each Argument).self)).count
    return { (arguments) throws(RPCError) in
      do {
        let values = try decode(arguments, arity, (repeat (each Argument).self))
        let result = try await body(repeat each values)
        var output = ByteQueue()
        encode(result, &output)
        return output.copy()
      } catch {
        throw ArgumentMismatch.explain(error)
      }
    }
  }

  private static func decode<each Argument: RPCValue>(
    _ bytes: [UInt8], _ arity: Int, _: (repeat (each Argument).Type)
  ) throws -> (repeat each Argument) {
    var reader = MessagePackReader(bytes.span.bytes)
    var left = try ArgumentMismatch.begin(&reader, arity: arity)
    return (repeat try ArgumentMismatch.decode((each Argument).self, &reader, &left))
  }

  // MARK: Describing

  private static func types<each Kind: RPCValue>(_: (repeat (each Kind).Type)) -> [ValueType] {
    var types: [ValueType] = []
    for type in repeat (each Kind).self { types.append(type.valueType) }
    return types
  }

  private static func describe(
    _ name: QualifiedName, _ documentation: String?, _ idempotent: Bool, _ parameters: [ValueType],
    _ returns: [ValueType]
  ) -> Procedure {
    Procedure(
      signature: Signature(
        service: name.service, name: name.procedure, parameters: parameters.map { Parameter($0) },
        returns: returns),
      language: .closure, documentation: documentation, idempotent: idempotent)
  }
}

/// Arguments that do not fit a closure's types: told apart from what the closure throws.
@usableFromInline
internal struct ArgumentMismatch: Error {
  let error: WireError

  @usableFromInline
  init(_ error: WireError) { self.error = error }

  /// Reads the list's head; returns how many values follow.
  @inlinable
  @inline(__always)
  static func begin(_ reader: inout MessagePackReader, arity: Int) throws(ArgumentMismatch) -> Int {
    do throws(WireError) {
      let count = try reader.readListHeader()
      guard count == arity else {
        throw WireError.unexpectedType(expected: "\(arity) arguments", found: "\(count)")
      }
      if count == 0 { try reader.finish() }
      return count
    } catch {
      throw ArgumentMismatch(error)
    }
  }

  /// Reads one value; behind the last nothing may follow.
  @inlinable
  @inline(__always)
  static func decode<Argument: RPCValue>(
    _ type: Argument.Type, _ reader: inout MessagePackReader, _ left: inout Int
  ) throws(ArgumentMismatch) -> Argument {
    do throws(WireError) {
      let value = try Argument.decode(from: &reader)
      left -= 1
      if left == 0 { try reader.finish() }
      return value
    } catch {
      throw ArgumentMismatch(error)
    }
  }

  /// What the caller is told.
  @usableFromInline
  static func explain(_ error: any Error) -> RPCError {
    switch error {
    case let mismatch as ArgumentMismatch: RPCError(.invalidArguments, mismatch.error.description)
    case let error as RPCError: error
    case is CancellationError: RPCError(.cancelled, "the call was cancelled", executed: .maybe)
    default: RPCError(.executionException, String(describing: error), executed: .yes)
    }
  }
}
