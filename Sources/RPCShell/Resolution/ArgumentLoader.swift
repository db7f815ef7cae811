import Glibc
import RPCSystem
import RPCWire

/// Puts in what the arguments of a line stand for: earlier results, files, standard input.
struct ArgumentLoader {
  var variables: Variables
  /// Reads standard input, once.
  var readStandardInput: () throws(CommandFailure) -> [UInt8]

  /// The arguments with every reference and file replaced by what it stands for.
  func load(_ arguments: [Argument]) throws(CommandFailure) -> [Argument] {
    guard arguments.contains(where: { $0.literal.isIndirect }) else { return arguments }
    var result = arguments
    for index in result.indices { result[index].literal = try load(result[index].literal) }
    return result
  }

  func load(_ literal: Literal) throws(CommandFailure) -> Literal {
    var literal = literal
    switch literal.kind {
    case .reference(let reference):
      do throws(ReferenceError) {
        literal.kind = .value(try reference.resolve(in: variables))
      } catch {
        throw .usage(error.message, at: literal.span)
      }
    case .file(let path):
      do throws(SystemError) {
        literal.kind = .content(
          try WholeFile.read(FileContent.expanded(path), limit: ShellLimits.fileBytesMax))
      } catch {
        throw .usage("cannot read '\(path)': \(FileContent.reason(error, path))", at: literal.span)
      }
    case .standardInput: literal.kind = .content(try readStandardInput())
    case .list(let elements):
      var loaded: [Literal] = []
      for element in elements { loaded.append(try load(element)) }
      literal.kind = .list(loaded)
    case .map(let entries):
      var loaded = entries
      for index in loaded.indices { loaded[index].value = try load(loaded[index].value) }
      literal.kind = .map(loaded)
    default: break
    }
    return literal
  }

  /// For hints: what can be known without reading anything. The rest fits everything.
  static func preview(_ arguments: [Argument], _ variables: Variables) -> (
    arguments: [Argument], issue: Issue?
  ) {
    var issue: Issue?
    func preview(_ literal: Literal) -> Literal {
      var literal = literal
      switch literal.kind {
      case .reference(let reference):
        do throws(ReferenceError) {
          literal.kind = .value(try reference.resolve(in: variables))
        } catch {
          if issue == nil { issue = Issue(literal.span, error.message) }
          literal.kind = .pending
        }
      case .file, .standardInput: literal.kind = .pending
      case .list(let elements): literal.kind = .list(elements.map(preview))
      case .map(let entries):
        literal.kind = .map(
          entries.map { Literal.Entry(key: $0.key, keySpan: $0.keySpan, value: preview($0.value)) })
      default: break
      }
      return literal
    }
    let result = arguments.map { argument in
      var argument = argument
      argument.literal = preview(argument.literal)
      return argument
    }
    return (result, issue)
  }
}

extension Literal {
  /// Whether it stands for something that is kept elsewhere.
  var isIndirect: Bool {
    switch kind {
    case .reference, .file, .standardInput: true
    case .list(let elements): elements.contains { $0.isIndirect }
    case .map(let entries): entries.contains { $0.value.isIndirect }
    default: false
    }
  }
}

/// Whole files, read with a bound.
enum FileContent {
  /// `~/x` with the home directory put in.
  static func expanded(_ path: String) -> String {
    guard path == "~" || path.hasPrefix("~/"), let home = getenv("HOME") else { return path }
    return String(cString: home) + path.dropFirst()
  }

  /// Why a file could not be read; of one that is too large, its size and the limit.
  static func reason(_ error: SystemError, _ path: String? = nil) -> String {
    guard error.code == EFBIG else { return error.reason }
    let limit = Quantity.count(Int64(ShellLimits.fileBytesMax))
    var status = stat()
    guard let path, stat(expanded(path), &status) == 0, status.st_size > ShellLimits.fileBytesMax else {
      return "it has more than \(limit) bytes, which is the limit"
    }
    return "it has \(Quantity.count(Int64(status.st_size))) bytes, the limit is \(limit)"
  }

  static func exists(_ path: String) -> Bool { access(expanded(path), F_OK) == 0 }
}
