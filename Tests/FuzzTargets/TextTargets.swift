import RPCWire

enum TextTargets {
  /// JSON that is read can be written and read again, as one line and indented.
  static func json(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let value = try? Value(json: bytes) else { return }
    let line = value.json
    try promise(!line.utf8.contains(UInt8(ascii: "\n")), "a line with a line end in it")
    try promise((try? Value(json: line))?.json == line, "changed on its way: \(line)")
    try promise((try? Value(json: value.prettyJSON()))?.json == line, "changed by its indentation: \(line)")
    try promise(
      (try? ValueType.any.value(fromJSON: value)) != nil || value.json.contains("$bytes"),
      "Any does not take \(line)")
  }

  /// A request's answer is one line of JSON that echoes its id, and so is a refusal.
  static func request(_ bytes: [UInt8]) throws(BrokenPromise) {
    switch Result(catching: { () throws(JSONDialect.Rejection) in
      try JSONDialect.request(from: bytes.span.bytes)
    }) {
    case .success(let request):
      let id = request.id
      let arguments = request.arguments(in: bytes.span.bytes)
      let types = request.argumentTypes ?? arguments.types
      try promise(types.count == arguments.count, "\(types.count) types for \(arguments.count) arguments")
      var encoded = ByteQueue()
      do {
        try arguments.encode(as: types, to: &encoded)
      } catch {
        return try areAnswered(.failure(RPCError(.invalidArguments, error.message)), id)
      }
      guard let values = try? Value.list(messagePack: encoded.copy()) else {
        throw BrokenPromise("arguments that are not MessagePack: \(encoded.copy())")
      }
      for (type, value) in zip(types, values) where !isLoose(type) {
        try promise(type.accepts(value), "\(type) does not accept \(value)")
      }
      return try areAnswered(.success(encoded.copy()), id)
    case .failure(let rejection): return try areAnswered(.failure(rejection.error), rejection.id)
    }
  }

  private static func areAnswered(
    _ result: Result<[UInt8], RPCError>, _ id: JSONDialect.ID?
  ) throws(BrokenPromise) {
    var output = ByteQueue()
    switch result {
    case .success(let values):
      guard (try? JSONDialect.appendResult(messagePack: values, id: id, to: &output)) != nil else {
        throw BrokenPromise("values that cannot be written as JSON: \(values)")
      }
      let listed = (try? Value.list(messagePack: values)).map { Value.list($0).json }
      let text = String(decoding: output.copy(), as: UTF8.self)
      try promise(text.contains(listed ?? "?"), "written in another way than a value: \(text)")
    case .failure(let error): JSONDialect.appendException(error, id: id, to: &output)
    }
    let answer = output.copy()
    try promise(answer.last == UInt8(ascii: "\n"), "an answer without its line end")
    let text = String(decoding: answer, as: UTF8.self)
    try promise(JSONReader.isWellFormed(Array(answer.dropLast())), "an answer that is not JSON: \(text)")
    try promise(
      id.map { text.contains(",\"value\":{\"id\":\($0),") } ?? !text.contains("\"value\":{\"id\":"),
      "an answer to somebody else: \(text)")
  }

  /// The first line is a type, the rest is read as it.
  static func text(_ bytes: [UInt8]) throws(BrokenPromise) {
    let parts = bytes.split(separator: UInt8(ascii: "\n"), maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let type = try? ValueType(parsing: String(decoding: parts[0], as: UTF8.self)),
      let value = try? type.value(fromText: String(decoding: parts[1], as: UTF8.self)), !isLoose(type)
    else { return }
    try promise(type.accepts(value), "\(type) does not accept \(value)")
  }

  /// `?` stands for whatever comes.
  private static func isLoose(_ type: ValueType) -> Bool {
    switch type {
    case .unknown: true
    case .list(let element), .dict(let element), .optional(let element): isLoose(element)
    default: false
    }
  }
}
