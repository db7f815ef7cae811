internal import CLibYAML
import RPCWire

/// Reads one YAML document into nodes that know their place.
///
/// It uses libyaml's events: nodes as libraries compose them stop at the first duplicate key, forget where an alias
/// stands, and write aliases out without a bound.
package final class YamlReader {
  /// Why a text is not a single YAML document.
  package struct Failure: Error {
    package var place: Place
    package var message: String
  }

  /// Memory of their own: libyaml keeps the parser's address.
  private let parserMemory = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
  private let eventMemory = UnsafeMutablePointer<yaml_event_t>.allocate(capacity: 1)
  private let bytes: UnsafeBufferPointer<UInt8>
  private var anchors: [UTF8Key: YamlNode] = [:]
  /// Nodes so far, aliases written out.
  private var size = 0
  private var problems: [Failure] = []

  /// - Parameter bytes: must outlive the reader.
  private init(_ bytes: UnsafeBufferPointer<UInt8>) {
    self.bytes = bytes
    eventMemory.initialize(to: yaml_event_t())
    parserMemory.initialize(to: yaml_parser_t())
    let isReady = yaml_parser_initialize(parserMemory)
    precondition(isReady == 1, "out of memory")
    yaml_parser_set_encoding(parserMemory, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(parserMemory, bytes.baseAddress, bytes.count)
  }

  deinit {
    yaml_event_delete(eventMemory)
    yaml_parser_delete(parserMemory)
    eventMemory.deallocate()
    parserMemory.deallocate()
  }

  /// A document, and what is wrong with nodes of it that do not stop the reading.
  package struct Document {
    /// nil where the text holds no document.
    package var root: YamlNode?
    package var problems: [Failure] = []
  }

  package static func read(_ text: [UInt8]) throws(Failure) -> Document {
    if let failure = notUTF8(text) { throw failure }
    // Columns count from behind a byte order mark, as editors count them.
    let content = text.starts(with: [0xef, 0xbb, 0xbf]) ? text[3...] : text[...]
    let result = content.withUnsafeBufferPointer { bytes -> Result<Document, Failure> in
      let reader = YamlReader(bytes)
      do throws(Failure) {
        return .success(Document(root: try reader.document(), problems: reader.problems))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// Where the text stops being UTF-8, if it does.
  private static func notUTF8(_ text: [UInt8]) -> Failure? {
    guard String(validating: text, as: UTF8.self) == nil else { return nil }
    if text.starts(with: [0xff, 0xfe]) || text.starts(with: [0xfe, 0xff]) {
      return Failure(place: .start, message: "the file is UTF-16 text; save it as UTF-8")
    }
    var decoder = UTF8()
    var iterator = text.makeIterator()
    var place = Place.start
    while case .scalarValue(let scalar) = decoder.decode(&iterator) { place.pass(scalar) }
    return Failure(place: place, message: "the file is not UTF-8 text")
  }

  // MARK: Composing

  private func document() throws(Failure) -> YamlNode? {
    try next()  // the stream's start
    try next()
    guard event.type == YAML_DOCUMENT_START_EVENT else { return nil }
    try next()
    let root = try node(depth: 0)
    try next()  // the document's end
    try next()
    guard event.type == YAML_STREAM_END_EVENT else {
      throw Failure(place: start, message: "a second document starts here; the file must hold one")
    }
    return root
  }

  /// Composes the node that begins with the current event.
  private func node(depth: Int) throws(Failure) -> YamlNode {
    let begin = start
    guard depth < DeploymentLimits.initFileDepthMax else {
      throw Failure(
        place: begin, message: "lists and maps nest deeper than \(DeploymentLimits.initFileDepthMax) levels")
    }
    try count(1)
    var node: YamlNode
    let anchor: String?
    switch event.type {
    case YAML_ALIAS_EVENT: return try alias(at: begin)
    case YAML_SCALAR_EVENT:
      anchor = Self.string(event.data.scalar.anchor)
      let tag = Self.string(event.data.scalar.tag)
      checkTag(tag, ["str", "int", "float", "bool", "null"], at: begin)
      node = scalar(at: begin)
      if let tag { node.isPlain = tag != "!" && tag != Self.tagPrefix + "str" }
    case YAML_SEQUENCE_START_EVENT:
      anchor = Self.string(event.data.sequence_start.anchor)
      checkTag(Self.string(event.data.sequence_start.tag), ["seq"], at: begin)
      var items: [YamlNode] = []
      var size = 1
      try next()
      while event.type != YAML_SEQUENCE_END_EVENT {
        let item = try self.node(depth: depth + 1)
        size += item.size
        items.append(item)
        try next()
      }
      node = YamlNode(content: .list(items), place: begin, size: size)
    default:
      anchor = Self.string(event.data.mapping_start.anchor)
      checkTag(Self.string(event.data.mapping_start.tag), ["map"], at: begin)
      var pairs: [(key: YamlNode, value: YamlNode)] = []
      var size = 1
      try next()
      while event.type != YAML_MAPPING_END_EVENT {
        let key = try self.node(depth: depth + 1)
        try next()
        let value = try self.node(depth: depth + 1)
        size += key.size + value.size
        pairs.append((key, value))
        try next()
      }
      node = YamlNode(content: .map(pairs), place: begin, size: size)
    }
    // An anchor exists once its node is whole, so that no node can hold itself.
    if let anchor { anchors[UTF8Key(anchor)] = node }
    return node
  }

  private static let tagPrefix = "tag:yaml.org,2002:"

  /// A tag gives a node another meaning: one that is passed over would change what the file says.
  private func checkTag(_ tag: String?, _ known: [String], at place: Place) {
    guard let tag, tag != "!", !known.contains(where: { tag == Self.tagPrefix + $0 }) else { return }
    let shown = tag.hasPrefix(Self.tagPrefix) ? "!!\(tag.dropFirst(Self.tagPrefix.count))" : tag
    problems.append(
      Failure(place: place, message: "unknown YAML tag '\(shown.prefix(64))'; write the value itself"))
  }

  private func scalar(at begin: Place) -> YamlNode {
    let data = event.data.scalar
    let text = String(decoding: UnsafeBufferPointer(start: data.value, count: data.length), as: UTF8.self)
    let isPlain = data.style == YAML_PLAIN_SCALAR_STYLE
    let isBlock = data.style == YAML_LITERAL_SCALAR_STYLE || data.style == YAML_FOLDED_SCALAR_STYLE
    let quote = isPlain ? 0 : 1
    let width = Int(event.end_mark.column) - Int(event.start_mark.column)
    let isVerbatim =
      !isBlock && event.start_mark.line == event.end_mark.line
      && width == text.unicodeScalars.count + 2 * quote
    return YamlNode(
      content: .scalar(text), place: begin, isPlain: isPlain, textOffset: isVerbatim ? quote : nil)
  }

  private func alias(at begin: Place) throws(Failure) -> YamlNode {
    let name = Self.string(event.data.alias.anchor) ?? ""
    guard var node = anchors[UTF8Key(name)] else {
      throw Failure(
        place: begin, message: "unknown alias '*\(name)': there is no anchor '&\(name)' before it")
    }
    try count(node.size - 1)
    node.place = begin
    node.textOffset = nil
    return node
  }

  /// Bounds the work that a few lines of aliases of aliases can ask for.
  private func count(_ nodes: Int) throws(Failure) {
    size += nodes
    guard size <= DeploymentLimits.initFileNodesMax else {
      throw Failure(
        place: start,
        message: "more than \(DeploymentLimits.initFileNodesMax) values once its aliases are expanded")
    }
  }

  // MARK: Events

  private var parser: yaml_parser_t { parserMemory.pointee }
  private var event: yaml_event_t { eventMemory.pointee }

  private var start: Place {
    Place(line: Int(event.start_mark.line) + 1, column: Int(event.start_mark.column) + 1)
  }

  private func next() throws(Failure) {
    yaml_event_delete(eventMemory)
    guard yaml_parser_parse(parserMemory, eventMemory) == 1 else { throw failure() }
  }

  private func failure() -> Failure {
    let problem = parser.problem.map { String(cString: $0) } ?? "it cannot be read"
    if parser.error == YAML_READER_ERROR {
      var place = Place.start
      for scalar in String(decoding: bytes.prefix(parser.problem_offset), as: UTF8.self).unicodeScalars {
        place.pass(scalar)
      }
      return Failure(place: place, message: "not valid YAML: \(problem)")
    }
    let place = Place(line: Int(parser.problem_mark.line) + 1, column: Int(parser.problem_mark.column) + 1)
    var message = "not valid YAML: \(problem)"
    if let context = parser.context {
      message += " \(String(cString: context))"
      let mark = parser.context_mark
      if mark.line != parser.problem_mark.line { message += " that starts at line \(mark.line + 1)" }
    }
    return Failure(place: place, message: message + hint(at: place))
  }

  /// Advice for the mistakes that YAML is famous for.
  private func hint(at place: Place) -> String {
    let lines = bytes.split(separator: 0x0a, maxSplits: place.line, omittingEmptySubsequences: false)
    guard place.line <= lines.count else { return "" }
    let line = String(decoding: lines[place.line - 1], as: UTF8.self)
    let indent = line.prefix { $0 == " " || $0 == "\t" }
    if indent.contains("\t") { return "; YAML indents with spaces, not with tabs" }
    for name in ["List[", "Dict[", "Optional["] where line.contains(name) && !line.contains("\"\(name)") {
      return "; put types with brackets in quotes, such as \"List[int]\""
    }
    return ""
  }

  private static func string(_ characters: UnsafeMutablePointer<yaml_char_t>?) -> String? {
    characters.map { String(cString: $0) }
  }
}

extension Place {
  fileprivate mutating func pass(_ scalar: Unicode.Scalar) {
    if scalar == "\n" {
      line += 1
      column = 1
    } else {
      column += 1
    }
  }
}
