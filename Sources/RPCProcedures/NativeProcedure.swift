public import RPCWire

/// A Swift closure as a procedure, with its decoding and encoding: reads the list of arguments in place and
/// appends the list of return values. It runs on the loop and must return soon.
///
/// - Throws: `InvalidArguments` (not executed) where the arguments do not fit, `ExecutionException` (executed)
///   where the closure threw.
public typealias NativeBody =
  @Sendable (_ arguments: inout MessagePackReader, _ output: inout ByteQueue) throws(RPCError) -> Void

/// A Swift closure that may suspend: it runs off the loop, as a task.
public typealias AsyncBody = @Sendable (_ arguments: [UInt8]) async throws(RPCError) -> [UInt8]

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
/// A closure runs on the server's loop and must return soon; `NativeProcedure(suspending:)` takes one that may
/// wait. What it throws becomes an `ExecutionException`, an `RPCError` goes to the caller as it is.
public struct NativeProcedure: Sendable {
  public var procedure: Procedure
  public var implementation: NativeImplementation

  /// A closure with one return value.
  public init<each Argument: RPCValue, Return: RPCValue>(
    _ name: QualifiedName, documentation: String? = nil, idempotent: Bool = false,
    _ body: @escaping @Sendable (repeat each Argument) throws -> Return
  ) {
    procedure = Self.describe(
      name, documentation, idempotent, (repeat (each Argument).self), [Return.valueType])
    implementation = .immediate(
      Self.immediate(body) { (result, output) in
        output.appendListHeader(count: 1)
        result.encode(to: &output)
      })
  }

  /// A closure with several return values, or none.
  @_disfavoredOverload
  public init<each Argument: RPCValue, each Return: RPCValue>(
    _ name: QualifiedName, documentation: String? = nil, idempotent: Bool = false,
    _ body: @escaping @Sendable (repeat each Argument) throws -> (repeat each Return)
  ) {
    let returns = Self.types((repeat (each Return).self))
    procedure = Self.describe(name, documentation, idempotent, (repeat (each Argument).self), returns)
    implementation = .immediate(
      Self.immediate(body) { (result: (repeat each Return), output) in
        output.appendListHeader(count: returns.count)
        for value in repeat each result { value.encode(to: &output) }
      })
  }

  /// A closure that may wait, with one return value: it runs as a task, which a cancelled call cancels.
  public init<each Argument: RPCValue, Return: RPCValue>(
    suspending name: QualifiedName, documentation: String? = nil, idempotent: Bool = false,
    _ body: @escaping @Sendable (repeat each Argument) async throws -> Return
  ) {
    procedure = Self.describe(
      name, documentation, idempotent, (repeat (each Argument).self), [Return.valueType])
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
    _ body: @escaping @Sendable (repeat each Argument) async throws -> (repeat each Return)
  ) {
    let returns = Self.types((repeat (each Return).self))
    procedure = Self.describe(name, documentation, idempotent, (repeat (each Argument).self), returns)
    implementation = .suspending(
      Self.suspending(body) { (result: (repeat each Return), output) in
        output.appendListHeader(count: returns.count)
        for value in repeat each result { value.encode(to: &output) }
      })
  }

  // MARK: Between the wire and the closure

  private static func immediate<each Argument: RPCValue, Return>(
    _ body: @escaping @Sendable (repeat each Argument) throws -> Return,
    encode: @escaping @Sendable (Return, inout ByteQueue) -> Void
  ) -> NativeBody {
    let arity = types((repeat (each Argument).self)).count
    return { (arguments, output) throws(RPCError) in
      let result: Return
      do {
        let values = try decode(&arguments, arity, (repeat (each Argument).self))
        do {
          result = try body(repeat each values)
        } catch {
          throw thrown(error)
        }
      } catch let error as RPCError {
        throw error
      } catch {
        throw RPCError(.invalidArguments, String(describing: error))
      }
      encode(result, &output)
    }
  }

  private static func suspending<each Argument: RPCValue, Return>(
    _ body: @escaping @Sendable (repeat each Argument) async throws -> Return,
    encode: @escaping @Sendable (Return, inout ByteQueue) -> Void
  ) -> AsyncBody {
    let arity = types((repeat (each Argument).self)).count
    return { (arguments) throws(RPCError) in
      let values: (repeat each Argument)
      do {
        var reader = MessagePackReader(arguments.span.bytes)
        values = try decode(&reader, arity, (repeat (each Argument).self))
      } catch {
        throw RPCError(.invalidArguments, String(describing: error))
      }
      do {
        let result = try await body(repeat each values)
        var output = ByteQueue()
        encode(result, &output)
        return output.copy()
      } catch {
        throw thrown(error)
      }
    }
  }

  private static func thrown(_ error: any Error) -> RPCError {
    if let error = error as? RPCError { return error }
    if error is CancellationError {
      return RPCError(.cancelled, "the call was cancelled", executed: .maybe)
    }
    return RPCError(.executionException, String(describing: error), executed: .yes)
  }

  private static func decode<each Argument: RPCValue>(
    _ reader: inout MessagePackReader, _ arity: Int, _: (repeat (each Argument).Type)
  ) throws(WireError) -> (repeat each Argument) {
    let count = try reader.readListHeader()
    guard count == arity else {
      throw .unexpectedType(expected: "\(arity) arguments", found: "\(count)")
    }
    let values = (repeat try (each Argument).decode(from: &reader))
    try reader.finish()
    return values
  }

  // MARK: Describing

  private static func types<each Kind: RPCValue>(_: (repeat (each Kind).Type)) -> [ValueType] {
    var types: [ValueType] = []
    for type in repeat (each Kind).self { types.append(type.valueType) }
    return types
  }

  private static func describe<each Argument: RPCValue>(
    _ name: QualifiedName, _ documentation: String?, _ idempotent: Bool,
    _ arguments: (repeat (each Argument).Type), _ returns: [ValueType]
  ) -> Procedure {
    Procedure(
      signature: Signature(
        service: name.service, name: name.procedure,
        parameters: types((repeat (each Argument).self)).map { Parameter($0) }, returns: returns),
      language: .swift, documentation: documentation, idempotent: idempotent)
  }
}
