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

/// A Swift closure that a program offers as a procedure.
public struct NativeProcedure: Sendable {
  public var procedure: Procedure
  public var implementation: NativeImplementation

  /// - Parameter name: `service.procedure`.
  public init<each Argument: RPCValue, each Return: RPCValue>(
    _ name: QualifiedName, documentation: String? = nil, idempotent: Bool = false,
    _ body: @escaping @Sendable (repeat each Argument) throws -> (repeat each Return)
  ) {
    procedure = Self.describe(
      name, documentation, idempotent, (repeat (each Argument).self), (repeat (each Return).self))
    let arity = Self.count((repeat (each Argument).self))
    let returned = Self.count((repeat (each Return).self))
    implementation = .immediate { (arguments, output) throws(RPCError) in
      let result: (repeat each Return)
      do {
        let values = try Self.decode(&arguments, arity, (repeat (each Argument).self))
        do {
          result = try body(repeat each values)
        } catch let error as RPCError {
          throw error
        } catch {
          throw RPCError(.executionException, String(describing: error), executed: .yes)
        }
      } catch let error as WireError {
        throw RPCError(.invalidArguments, error.description)
      } catch let error as RPCError {
        throw error
      } catch {
        throw RPCError(.executionException, String(describing: error), executed: .yes)
      }
      output.appendListHeader(count: returned)
      for value in repeat each result { value.encode(to: &output) }
    }
  }

  /// As above, for a closure that may suspend.
  public init<each Argument: RPCValue, each Return: RPCValue>(
    suspending name: QualifiedName, documentation: String? = nil, idempotent: Bool = false,
    _ body: @escaping @Sendable (repeat each Argument) async throws -> (repeat each Return)
  ) {
    procedure = Self.describe(
      name, documentation, idempotent, (repeat (each Argument).self), (repeat (each Return).self))
    let arity = Self.count((repeat (each Argument).self))
    let returned = Self.count((repeat (each Return).self))
    implementation = .suspending { (arguments) throws(RPCError) in
      let values: (repeat each Argument)
      do {
        var reader = MessagePackReader(arguments.span.bytes)
        values = try Self.decode(&reader, arity, (repeat (each Argument).self))
      } catch {
        throw RPCError(.invalidArguments, String(describing: error))
      }
      let result: (repeat each Return)
      do {
        result = try await body(repeat each values)
      } catch let error as RPCError {
        throw error
      } catch is CancellationError {
        throw RPCError(.cancelled, "the call was cancelled", executed: .maybe)
      } catch {
        throw RPCError(.executionException, String(describing: error), executed: .yes)
      }
      var output = ByteQueue()
      output.appendListHeader(count: returned)
      for value in repeat each result { value.encode(to: &output) }
      return output.copy()
    }
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

  private static func count<each Kind>(_: (repeat (each Kind).Type)) -> Int {
    var count = 0
    for _ in repeat (each Kind).self { count += 1 }
    return count
  }

  private static func describe<each Argument: RPCValue, each Return: RPCValue>(
    _ name: QualifiedName, _ documentation: String?, _ idempotent: Bool,
    _ arguments: (repeat (each Argument).Type), _ returns: (repeat (each Return).Type)
  ) -> Procedure {
    var parameters: [Parameter] = []
    for type in repeat (each Argument).self { parameters.append(Parameter(type.valueType)) }
    var returned: [ValueType] = []
    for type in repeat (each Return).self { returned.append(type.valueType) }
    return Procedure(
      signature: Signature(
        service: name.service, name: name.procedure, parameters: parameters, returns: returned),
      language: .swift, documentation: documentation, idempotent: idempotent)
  }
}

/// `service.procedure`.
public struct QualifiedName: Hashable, Sendable, CustomStringConvertible {
  public var service: String
  public var procedure: String

  public init(service: String, procedure: String) {
    self.service = service
    self.procedure = procedure
  }

  /// Splits at the first dot; nil where there is none or a side is empty.
  public init?(_ text: String) {
    guard let dot = text.firstIndex(of: "."), dot != text.startIndex, text.index(after: dot) != text.endIndex
    else { return nil }
    service = String(text[..<dot])
    procedure = String(text[text.index(after: dot)...])
  }

  public var description: String { "\(service).\(procedure)" }
}

extension QualifiedName: ExpressibleByStringLiteral {
  /// A literal without a dot is a mistake of the program.
  public init(stringLiteral text: String) {
    guard let name = QualifiedName(text) else {
      preconditionFailure("a procedure is named 'service.procedure', not '\(text)'")
    }
    self = name
  }
}
