public import RPCWire

/// The same for one, two and three arguments and one return value: what most closures have. The compiler makes of
/// these what one would write by hand; a parameter pack is still walked when the call comes, value by value.
extension NativeProcedure {
  /// A closure with one argument and one return value.
  @inlinable
  public init<Argument: RPCValue, Return: RPCValue>(
    _ name: QualifiedName, documentation: String? = nil, idempotent: Bool = false,
    _ body: @escaping @Sendable (Argument) throws -> Return
  ) {
    self.init(name, documentation, idempotent, [Argument.valueType], [Return.valueType]) {
      (arguments, output) throws(RPCError) in
      let result: Return
      do {
        var left = try ArgumentMismatch.begin(&arguments, arity: 1)
        result = try body(try ArgumentMismatch.decode(Argument.self, &arguments, &left))
      } catch {
        throw ArgumentMismatch.explain(error)
      }
      output.appendListHeader(count: 1)
      result.encode(to: &output)
    }
  }

  /// A closure with two arguments and one return value.
  @inlinable
  public init<First: RPCValue, Second: RPCValue, Return: RPCValue>(
    _ name: QualifiedName, documentation: String? = nil, idempotent: Bool = false,
    _ body: @escaping @Sendable (First, Second) throws -> Return
  ) {
    self.init(name, documentation, idempotent, [First.valueType, Second.valueType], [Return.valueType]) {
      (arguments, output) throws(RPCError) in
      let result: Return
      do {
        var left = try ArgumentMismatch.begin(&arguments, arity: 2)
        let first = try ArgumentMismatch.decode(First.self, &arguments, &left)
        let second = try ArgumentMismatch.decode(Second.self, &arguments, &left)
        result = try body(first, second)
      } catch {
        throw ArgumentMismatch.explain(error)
      }
      output.appendListHeader(count: 1)
      result.encode(to: &output)
    }
  }

  /// A closure with three arguments and one return value.
  @inlinable
  public init<First: RPCValue, Second: RPCValue, Third: RPCValue, Return: RPCValue>(
    _ name: QualifiedName, documentation: String? = nil, idempotent: Bool = false,
    _ body: @escaping @Sendable (First, Second, Third) throws -> Return
  ) {
    let types = [First.valueType, Second.valueType, Third.valueType]
    self.init(name, documentation, idempotent, types, [Return.valueType]) {
      (arguments, output) throws(RPCError) in
      let result: Return
      do {
        var left = try ArgumentMismatch.begin(&arguments, arity: 3)
        let first = try ArgumentMismatch.decode(First.self, &arguments, &left)
        let second = try ArgumentMismatch.decode(Second.self, &arguments, &left)
        let third = try ArgumentMismatch.decode(Third.self, &arguments, &left)
        result = try body(first, second, third)
      } catch {
        throw ArgumentMismatch.explain(error)
      }
      output.appendListHeader(count: 1)
      result.encode(to: &output)
    }
  }
}
