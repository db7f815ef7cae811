extension JSONDialect {
  /// A call as a line asks for it. Its arguments are still text: see `arguments(in:)`.
  package struct Request: Sendable {
    /// Any JSON value, echoed in the answer.
    package var id: ID?
    package var service: String
    package var rpc: String
    /// `argument-types`, nil where the caller leaves them to the arguments.
    package var argumentTypes: [ValueType]?
    /// `return-types`, nil where the caller takes what comes.
    package var returnTypes: [ValueType]?
    /// `timeout`, in seconds on the line.
    package var timeoutMicroseconds: UInt64?
    /// `client`: who the caller says it is, a name of `network.clients`.
    package var client: String?
    private let argumentRange: Range<Int>
    private let argumentShape: JSONShape

    /// The arguments, of the line that this request was read from.
    @_lifetime(copy line)
    package func arguments(in line: RawSpan) -> JSONArguments {
      JSONArguments(line.extracting(argumentRange), shape: argumentShape)
    }

    /// A day: a longer timeout is a mistake in the unit.
    private static let timeoutSecondsMax = 86_400.0

    /// - Throws: `ProtocolError` where the line is not a request at all, `InvalidArguments` where its types are not types or
    ///   are not as many as the arguments.
    internal init(_ fields: JSONRequestFields, id: ID?, in line: RawSpan) throws(RPCError) {
      self.id = id
      try Self.checkEnvelope(fields, line)
      if let range = fields[.id], range.count > WireLimits.jsonIDBytesMax {
        throw RPCError(
          .protocolError, "\"id\" is \(range.count) bytes long, the limit is \(WireLimits.jsonIDBytesMax)",
          actual: range.count, limit: WireLimits.jsonIDBytesMax, unit: .bytes)
      }
      guard let service = try Self.name(.service, fields, line) else {
        throw .malformed("\"service\" is missing: a name in double quotes")
      }
      guard let rpc = try Self.name(.rpc, fields, line) else {
        throw .malformed("\"rpc\" is missing: a name in double quotes")
      }
      self.service = service
      self.rpc = rpc
      client = try Self.name(.client, fields, line)
      argumentTypes = try Self.types(.argumentTypes, fields, line)
      returnTypes = try Self.types(.returnTypes, fields, line)
      timeoutMicroseconds = try Self.timeout(fields, line)
      argumentRange = fields[.arguments] ?? 0..<0
      argumentShape = fields.arguments
      let count = argumentShape.counts.first.map { Int($0) } ?? 0
      if !argumentRange.isEmpty, JSONReader(line).byte(at: argumentRange.lowerBound) != UInt8(ascii: "[") {
        throw .malformed("\"arguments\" is a list")
      }
      guard count <= WireLimits.arityMax else {
        throw RPCError(
          .invalidArguments, "\(count) arguments, the limit is \(WireLimits.arityMax)", actual: count,
          limit: WireLimits.arityMax, unit: .arguments)
      }
      if let argumentTypes, count != argumentTypes.count {
        throw RPCError(
          .invalidArguments,
          "\(English.count(count, "argument")), but \(English.count(argumentTypes.count, "argument type"))")
      }
    }

    private static func checkEnvelope(_ fields: JSONRequestFields, _ line: RawSpan) throws(RPCError) {
      guard fields.isObject, let header = fields.header, fields.value != nil else {
        throw .malformed("a request is an object with \"header\" and \"value\"")
      }
      let text = JSONReader(line).text(header, max: 40)
      guard text == "\"RPC-REQ\"" else {
        throw .malformed("the header of a request is \"RPC-REQ\", found \(text)")
      }
      guard fields.valueIsObject else { throw .malformed("the value of a request is an object") }
      if let problem = fields.problem { throw .malformed(problem) }
    }

    private static func name(
      _ field: JSONRequestFields.Field, _ fields: JSONRequestFields, _ line: RawSpan
    ) throws(RPCError) -> String? {
      guard let range = fields[field] else { return nil }
      var reader = JSONReader(line.extracting(range))
      guard reader.current == UInt8(ascii: "\"") else {
        throw .malformed("\"\(field.rawValue)\" is a name in double quotes")
      }
      let name: String
      do {
        name = try reader.readString()
      } catch {
        throw .malformed("\"\(field.rawValue)\" holds \(error.message)")
      }
      guard !name.isEmpty else { throw .malformed("\"\(field.rawValue)\" is empty") }
      guard name.utf8.count <= WireLimits.nameBytesMax else {
        throw RPCError(
          .protocolError,
          "\"\(field.rawValue)\" is a name of \(name.utf8.count) bytes, the limit is \(WireLimits.nameBytesMax)",
          actual: name.utf8.count, limit: WireLimits.nameBytesMax, unit: .bytes)
      }
      return name
    }

    private static func types(
      _ field: JSONRequestFields.Field, _ fields: JSONRequestFields, _ line: RawSpan
    ) throws(RPCError) -> [ValueType]? {
      guard let range = fields[field] else { return nil }
      var reader = JSONReader(line.extracting(range))
      guard reader.current != UInt8(ascii: "n") else { return nil }
      guard reader.current == UInt8(ascii: "[") else {
        throw .malformed("\"\(field.rawValue)\" is a list of types")
      }
      var types: [ValueType] = []
      reader.offset += 1
      while true {
        reader.skipSpace()
        guard reader.current != UInt8(ascii: "]") else { return types }
        guard types.count < WireLimits.arityMax else {
          throw RPCError(
            .protocolError,
            "\"\(field.rawValue)\" has more types than the limit of \(WireLimits.arityMax)",
            limit: WireLimits.arityMax, unit: .arguments)
        }
        guard reader.current == UInt8(ascii: "\""), let text = try? reader.readString() else {
          throw .malformed("\"\(field.rawValue)\" is a list of types in double quotes")
        }
        do {
          types.append(try ValueType(parsing: text))
        } catch {
          throw RPCError(.invalidArguments, "\"\(field.rawValue)\": \(error.message)")
        }
        reader.skipSpace()
        if reader.current == UInt8(ascii: ",") { reader.offset += 1 }
      }
    }

    private static func timeout(_ fields: JSONRequestFields, _ line: RawSpan) throws(RPCError) -> UInt64? {
      guard let range = fields[.timeout] else { return nil }
      var reader = JSONReader(line.extracting(range))
      guard reader.current != UInt8(ascii: "n") else { return nil }
      var seconds: Double?
      switch try? reader.readNumber() {
      case .int(let value): seconds = Double(value)
      case .fraction(let range): seconds = reader.float(range)
      default: break
      }
      guard let seconds, seconds > 0, seconds <= timeoutSecondsMax else {
        throw .malformed("\"timeout\" is a number of seconds above 0, at most \(Int(timeoutSecondsMax))")
      }
      // Less than a microsecond is still a deadline.
      return max(1, UInt64(seconds * 1_000_000))
    }
  }
}

extension RPCError {
  fileprivate static func malformed(_ message: String) -> RPCError { RPCError(.protocolError, message) }
}
