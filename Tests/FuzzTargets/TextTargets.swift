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
    var output = ByteQueue()
    let id: Value?
    switch Result(catching: { () throws(JSONDialect.Rejection) in
      try JSONDialect.request(from: bytes.span.bytes)
    }) {
    case .success(let request):
      id = request.id
      for (index, type) in (request.argumentTypes ?? []).enumerated() where !isLoose(type) {
        try promise(
          type.accepts(request.arguments[index]), "\(type) does not accept \(request.arguments[index])")
      }
      JSONDialect.appendResult(request.arguments, id: id, to: &output)
    case .failure(let rejection):
      id = rejection.id
      JSONDialect.appendException(rejection.error, id: id, to: &output)
    }
    let answer = output.copy()
    try promise(answer.last == UInt8(ascii: "\n"), "an answer without its line end")
    guard let read = try? Value(json: Array(answer.dropLast())) else {
      throw BrokenPromise("an answer that is not JSON: \(String(decoding: answer, as: UTF8.self))")
    }
    try promise(read["value"]?["id"]?.json == id?.json, "an answer to somebody else")
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
