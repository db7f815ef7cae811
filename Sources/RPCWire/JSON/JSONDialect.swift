/// The json dialect: one JSON object per line in each direction, for people, `nc` and any language in five
/// lines. Pure: lines in, requests out; results in, lines out.
///
/// A request is `{"header":"RPC-REQ","value":{…}}` with the fields of `JSONDialect.Request`; it is answered
/// by one `RPC-RES` or `RPC-EX`, which echoes the request's `id` where it has one.
package enum JSONDialect {
  /// A value as it was written, echoed as it was written: it is compared with nothing and read by nobody here.
  package struct ID: Hashable, Sendable, CustomStringConvertible {
    internal var json: [UInt8]

    internal init(json: [UInt8]) { self.json = json }
    /// The id that is written like this value.
    package init(_ value: Value) { json = Array(value.json.utf8) }
    package var description: String { String(decoding: json, as: UTF8.self) }
  }

  /// Why a line is not a request, and the id to answer it with where one was found.
  package struct Rejection: Error, Hashable, Sendable {
    package var id: ID?
    package var error: RPCError

    package init(id: ID?, error: RPCError) {
      self.id = id
      self.error = error
    }
  }

  /// Reads one line, without its line end.
  package static func request(from line: RawSpan) throws(Rejection) -> Request {
    let fields: JSONRequestFields
    do throws(JSONError) {
      fields = try JSONRequestFields(line)
    } catch {
      throw Rejection(
        id: JSONRequestFields.findID(in: line),
        error: RPCError(.protocolError, "the line is not JSON: \(error)"))
    }
    let id = fields.id(in: line)
    do {
      return try Request(fields, id: id, in: line)
    } catch {
      throw Rejection(id: id, error: error)
    }
  }

  /// The id of a line that is not whole, where it has come.
  package static func id(ofUnfinished line: RawSpan) -> ID? { JSONRequestFields.findID(in: line) }

  // MARK: Answers

  /// Appends the line that answers with values, given as a MessagePack list. Where that is none, nothing is appended.
  package static func appendResult(
    messagePack bytes: [UInt8], id: ID?, to queue: inout ByteQueue
  ) throws(WireError) {
    let mark = queue.count
    begin("RPC-RES", id, &queue)
    queue.append("\"return-values\":")
    do throws(WireError) {
      var reader = unsafe MessagePackReader(bytes.span.bytes)
      guard try reader.peek() == .list else {
        throw WireError.unexpectedType(expected: "a list", found: try reader.peek().rawValue)
      }
      // Each value may nest as deep as a value may, the list around them not counted.
      let count = try reader.readListHeader()
      queue.append(UInt8(ascii: "["))
      for index in 0..<count {
        if index > 0 { queue.append(UInt8(ascii: ",")) }
        try queue.appendJSON(messagePack: &reader)
      }
      try reader.finish()
    } catch {
      queue.truncate(to: mark)
      throw error
    }
    queue.append("]}}\n")
  }

  /// Appends the line that answers with an exception.
  package static func appendException(_ error: RPCError, id: ID?, to queue: inout ByteQueue) {
    var fields: [Value.Entry] = [
      .init("exception-type", .string(error.exception.rawValue)),
      .init("exception-message", .string(error.message)),
      .init("code", .int(Int64(error.code.rawValue))),
      .init("executed", .string("\(error.executed)")),
    ]
    if let source = error.source { fields.append(.init("source", .string(source))) }
    if let actual = error.actual { fields.append(.init("actual", .int(Int64(actual)))) }
    if let limit = error.limit { fields.append(.init("limit", .int(Int64(limit)))) }
    if let unit = error.unit { fields.append(.init("unit", .string(unit.rawValue))) }
    if let milliseconds = error.retryAfterMilliseconds {
      fields.append(.init("retry-after-ms", .int(Int64(milliseconds))))
    }
    begin("RPC-EX", id, &queue)
    for (index, field) in fields.enumerated() {
      if index > 0 { queue.append(UInt8(ascii: ",")) }
      queue.appendJSON(string: field.key)
      queue.append(UInt8(ascii: ":"))
      queue.appendJSON(field.value)
    }
    queue.append("}}\n")
  }

  /// The start of an answer, up to the fields behind the id.
  private static func begin(_ header: StaticString, _ id: ID?, _ queue: inout ByteQueue) {
    queue.append("{\"header\":\"\(header)\",\"value\":{")
    guard let id else { return }
    queue.append("\"id\":")
    queue.append(id.json)
    queue.append(UInt8(ascii: ","))
  }
}
