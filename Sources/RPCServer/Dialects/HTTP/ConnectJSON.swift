internal import HTTPTypes
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// JSON as Connect's unary protocol has it: an object of arguments by name, answered by an object of results. A list of
/// arguments by position is taken too.
internal enum ConnectJSON: UnaryFormat {
  static let contentType: StaticString = "application/json"

  static func takes(_ type: ContentType) -> Bool {
    type.mediaType == "application/json" && type.charset.map { $0 == "utf-8" || $0 == "utf8" } ?? true
  }

  static func append(
    _ outcome: CallOutcome, of procedure: BoundProcedure?, type: ContentType?, limit: Int,
    to output: inout ByteQueue
  ) -> AnswerHead {
    let error: RPCError
    switch outcome {
    case .success(let bytes) where bytes.count > limit:
      error = RPCError(
        .resourceExhausted, "the result is larger than the limit of \(limit) bytes for JSON", executed: .yes,
        actual: bytes.count, limit: limit, unit: .bytes)
    case .success(let bytes):
      let mark = output.count
      do throws(WireError) {
        var reader = MessagePackReader(bytes.span.bytes)
        try append(results: &reader, as: procedure?.signature.returns ?? [], to: &output)
        return AnswerHead(.ok, contentType)
      } catch let wrong {
        output.truncate(to: mark)
        error = RPCError(
          .executionException, "the result cannot be written as JSON: \(wrong)", executed: .yes)
      }
    case .failure(let failure): error = failure
    }
    return append(error, error.httpStatus, error.httpCode, to: &output)
  }

  /// Appends `{"result":3}`, or `{"result1":…,"result2":…}` where there are several.
  static func append(
    results reader: inout MessagePackReader, as types: [ValueType], to output: inout ByteQueue
  ) throws(WireError) {
    let count = try reader.readListHeader()
    output.append(UInt8(ascii: "{"))
    for index in 0..<count {
      if index > 0 { output.append(UInt8(ascii: ",")) }
      if count == 1 {
        output.append("\"result\":" as StaticString)
      } else {
        output.append("\"result\(index + 1)\":")
      }
      try output.appendJSON(messagePack: &reader, as: index < types.count ? types[index] : .any)
    }
    try reader.finish()
    output.append(UInt8(ascii: "}"))
  }

  /// Appends Connect's JSON of an error. `details` has what our other dialects say: the exception, whether the procedure
  /// was executed, where it raised, and the size and the limit that was crossed.
  static func append(
    _ error: RPCError, _ status: HTTPResponse.Status, _ code: StatusCode, to output: inout ByteQueue
  ) -> AnswerHead {
    output.append("{\"code\":\"" as StaticString)
    output.append(code.connectName)
    output.append("\",\"message\":" as StaticString)
    output.appendJSON(string: error.message)
    output.append(",\"details\":[{\"type\":\"google.rpc.ErrorInfo\",\"value\":\"" as StaticString)
    let info = ErrorInfo(error)
    output.append(Base64.unpadded(info.protobuf))
    output.append("\",\"debug\":" as StaticString)
    output.appendJSON(info.json)
    output.append("}]}" as StaticString)
    return AnswerHead(status, contentType, retryAfterMilliseconds: error.retryAfterMilliseconds)
  }
}
