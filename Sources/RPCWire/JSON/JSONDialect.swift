/// The json dialect: one JSON object per line in each direction, for people, `nc` and any language in five
/// lines. Pure: lines in, requests out; results in, lines out.
///
/// A request is `{"header":"RPC-REQ","value":{…}}` with the fields of `JSONDialect.Request`; it is answered
/// by one `RPC-RES` or `RPC-EX`, which echoes the request's `id` where it has one.
public enum JSONDialect {
  /// A call as a line asks for it, its arguments decoded by the types that the line declares.
  public struct Request: Hashable, Sendable {
    /// Any JSON value, echoed in the answer.
    public var id: Value?
    public var service: String
    public var rpc: String
    public var arguments: [Value]
    /// `argument-types`, nil where the caller leaves them to the arguments.
    public var argumentTypes: [ValueType]?
    /// `return-types`, nil where the caller takes what comes.
    public var returnTypes: [ValueType]?
    /// `timeout`, in seconds on the line.
    public var timeoutMicroseconds: UInt64?
    /// `client`: who the caller says it is, a name of `network.clients`.
    public var client: String?

    public init(
      id: Value? = nil, service: String, rpc: String, arguments: [Value],
      argumentTypes: [ValueType]? = nil, returnTypes: [ValueType]? = nil, timeoutMicroseconds: UInt64? = nil,
      client: String? = nil
    ) {
      self.id = id
      self.service = service
      self.rpc = rpc
      self.arguments = arguments
      self.argumentTypes = argumentTypes
      self.returnTypes = returnTypes
      self.timeoutMicroseconds = timeoutMicroseconds
      self.client = client
    }
  }

  /// Why a line is no request, and the id to answer it with where it could be told.
  public struct Rejection: Error, Hashable, Sendable {
    public var id: Value?
    public var error: RPCError

    public init(id: Value?, error: RPCError) {
      self.id = id
      self.error = error
    }
  }

  /// Reads one line, without its line end.
  public static func request(from line: RawSpan) throws(Rejection) -> Request {
    let message: Value
    do {
      message = try Value(json: line)
    } catch {
      throw Rejection(id: nil, error: RPCError(.protocolError, "the line is not JSON: \(error)"))
    }
    let fields = message["value"]
    let id = fields?["id"]
    do {
      return try Request(message)
    } catch {
      throw Rejection(id: id, error: error)
    }
  }

  /// Appends the line that answers with values.
  public static func appendResult(_ values: [Value], id: Value?, to queue: inout ByteQueue) {
    var fields: [Value.Entry] = []
    if let id { fields.append(.init("id", id)) }
    fields.append(.init("return-values", .list(values)))
    append(header: "RPC-RES", fields, to: &queue)
  }

  /// Appends the line that answers with an exception.
  public static func appendException(_ error: RPCError, id: Value?, to queue: inout ByteQueue) {
    var fields: [Value.Entry] = []
    if let id { fields.append(.init("id", id)) }
    fields.append(.init("exception-type", .string(error.exception.rawValue)))
    fields.append(.init("exception-message", .string(error.message)))
    fields.append(.init("code", .int(Int64(error.code.rawValue))))
    fields.append(.init("executed", .string("\(error.executed)")))
    if let source = error.source { fields.append(.init("source", .string(source))) }
    if let actual = error.actual { fields.append(.init("actual", .int(Int64(actual)))) }
    if let limit = error.limit { fields.append(.init("limit", .int(Int64(limit)))) }
    if let milliseconds = error.retryAfterMilliseconds {
      fields.append(.init("retry-after-ms", .int(Int64(milliseconds))))
    }
    append(header: "RPC-EX", fields, to: &queue)
  }

  private static func append(header: String, _ fields: [Value.Entry], to queue: inout ByteQueue) {
    queue.appendJSON(.map([.init("header", .string(header)), .init("value", .map(fields))]))
    queue.append(UInt8(ascii: "\n"))
  }
}

extension JSONDialect.Request {
  /// The fields a request may have, as an error message lists them.
  private static let fields = [
    "id", "service", "rpc", "arguments", "argument-types", "return-types", "timeout", "client",
  ]
  /// A day: a longer timeout is a mistake in the unit.
  private static let timeoutSecondsMax = 86_400.0

  /// - Throws: `ProtocolError` where the message is no request at all, `InvalidArguments` where the arguments
  ///   do not fit the types that it declares itself.
  fileprivate init(_ message: Value) throws(RPCError) {
    guard case .map = message, let header = message["header"] else {
      throw .malformed("a request is an object with \"header\" and \"value\"")
    }
    guard header == "RPC-REQ" else {
      throw .malformed("the header of a request is \"RPC-REQ\", found \(header.json.prefix(40))")
    }
    guard let value = message["value"], case .map(let entries) = value else {
      throw .malformed("the value of a request is an object")
    }
    for entry in entries where !Self.fields.contains(entry.key) {
      throw .malformed(
        "'\(entry.key.prefix(40))' is no field of a request, which has \(Self.fields.joined(separator: ", "))"
      )
    }
    id = value["id"]
    service = try Self.name("service", in: value)
    rpc = try Self.name("rpc", in: value)
    client = value["client"] == nil ? nil : try Self.name("client", in: value)
    argumentTypes = try Self.types("argument-types", in: value)
    returnTypes = try Self.types("return-types", in: value)
    timeoutMicroseconds = try Self.timeout(in: value)
    arguments = []
    switch value["arguments"] {
    case nil: break
    case .list(let values): arguments = try Self.arguments(values, types: argumentTypes)
    case .some: throw .malformed("\"arguments\" is a list")
    }
    if let argumentTypes, arguments.count != argumentTypes.count {
      throw RPCError(
        .invalidArguments,
        "\(arguments.count) arguments, but \(argumentTypes.count) argument types")
    }
  }

  private static func name(_ field: String, in value: Value) throws(RPCError) -> String {
    guard let name = value[field]?.stringValue, !name.isEmpty else {
      throw .malformed("\"\(field)\" is a name in double quotes")
    }
    guard name.utf8.count <= WireLimits.nameBytesMax else {
      throw RPCError(
        .protocolError,
        "\"\(field)\" is a name of \(name.utf8.count) bytes, the limit is \(WireLimits.nameBytesMax)",
        actual: name.utf8.count, limit: WireLimits.nameBytesMax)
    }
    return name
  }

  private static func types(_ field: String, in value: Value) throws(RPCError) -> [ValueType]? {
    guard let list = value[field], !list.isNull else { return nil }
    guard case .list(let values) = list else { throw .malformed("\"\(field)\" is a list of types") }
    guard values.count <= WireLimits.arityMax else {
      throw RPCError(
        .protocolError, "\"\(field)\" has \(values.count) types, the limit is \(WireLimits.arityMax)",
        actual: values.count, limit: WireLimits.arityMax)
    }
    var types: [ValueType] = []
    for value in values {
      guard let text = value.stringValue else {
        throw .malformed("\"\(field)\" is a list of types in double quotes")
      }
      do {
        types.append(try ValueType(parsing: text))
      } catch {
        throw RPCError(.invalidArguments, "\"\(field)\": \(error.message)")
      }
    }
    return types
  }

  private static func timeout(in value: Value) throws(RPCError) -> UInt64? {
    guard let timeout = value["timeout"], !timeout.isNull else { return nil }
    guard let seconds = timeout.floatValue, seconds > 0, seconds <= timeoutSecondsMax else {
      throw .malformed("\"timeout\" is a number of seconds above 0, at most \(Int(timeoutSecondsMax))")
    }
    // Less than a microsecond is still a deadline.
    return max(1, UInt64(seconds * 1_000_000))
  }

  /// Decodes each argument by its declared type: a string that stands for another type is read as its text.
  private static func arguments(_ values: [Value], types: [ValueType]?) throws(RPCError) -> [Value] {
    guard values.count <= WireLimits.arityMax else {
      throw RPCError(
        .invalidArguments, "\(values.count) arguments, the limit is \(WireLimits.arityMax)",
        actual: values.count, limit: WireLimits.arityMax)
    }
    var arguments: [Value] = []
    for index in values.indices {
      let type = types.map { index < $0.count ? $0[index] : .any } ?? .any
      do {
        if case .string(let text) = values[index] {
          arguments.append(try type.value(fromText: text))
        } else {
          arguments.append(try type.value(fromJSON: values[index]))
        }
      } catch {
        throw RPCError(.invalidArguments, "argument \(index + 1): \(error)")
      }
    }
    return arguments
  }
}

extension RPCError {
  fileprivate static func malformed(_ message: String) -> RPCError { RPCError(.protocolError, message) }
}
