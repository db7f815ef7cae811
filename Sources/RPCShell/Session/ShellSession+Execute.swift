import RPCClient
import RPCDeployment
import RPCProcedures
import RPCSystem
import RPCWire

extension ShellSession {
  /// Runs one line: what it is, where its output goes, what it is bound to.
  func execute(_ line: CommandLine, _ output: any Output) async throws(CommandFailure) {
    if line.isEmpty { return }
    if let open = line.open.first {
      throw remember(.usage(open.kind.complaint, at: open.span))
    }
    if let issue = line.issues.first { throw remember(CommandFailure(issue)) }
    if let shell = line.shell {
      output.flush()
      // A script on standard input is not the program's to read.
      let isScript = if case .isScript = change({ $0.standardInput }) { true } else { false }
      let status = await ChildProcess.shell(shell.text, withoutInput: isScript)
      guard status == 0 else { throw .other("'\(shell.text)' ended with status \(status)") }
      return
    }
    if line.background != nil { return try startJob(line, output) }
    if let redirection = line.redirection { return try await redirected(line, to: redirection, output) }
    guard let pipe = line.pipe else { return try await bound(line, output) }
    var inner = line
    inner.pipe = nil
    output.flush()
    let child = try PipeOutput(pipe.text, from: output)
    var failure: CommandFailure?
    do throws(CommandFailure) {
      try await bound(inner, child)
    } catch {
      failure = error
    }
    let status = await child.finish()
    if let failure { throw failure }
    guard status == 0 else { throw .other("'\(pipe.text)' ended with status \(status)") }
  }

  /// `… > file`.
  private func redirected(
    _ line: CommandLine, to redirection: CommandLine.Redirection, _ output: any Output
  ) async throws(CommandFailure) {
    var inner = line
    inner.redirection = nil
    let file: FileOutput
    do throws(SystemError) {
      file = try FileOutput(
        FileContent.expanded(redirection.path), appends: redirection.appends, from: output)
    } catch {
      throw remember(
        .usage("cannot write '\(redirection.path)': \(error.reason)", at: redirection.span))
    }
    try await bound(inner, file)
    if let error = file.failure { throw .other("cannot write '\(redirection.path)': \(error.reason)") }
  }

  /// `x = …`.
  private func bound(_ line: CommandLine, _ output: any Output) async throws(CommandFailure) {
    guard let binding = line.binding else { return try await command(line, output) }
    var inner = line
    inner.binding = nil
    guard let first = inner.words.first else {
      throw remember(.usage("a value or a call is missing after '\(binding.text) ='", at: binding.span))
    }
    if inner.words.count == 1, isValue(first) {
      let value = try self.value(of: first)
      bind(binding.text, to: value)
      return
    }
    let before = snapshotWithoutStates.variables.count
    try await command(inner, output)
    let variables = snapshotWithoutStates.variables
    guard variables.count > before, let last = variables.last else {
      throw remember(
        .usage("'\(first.plainText)' has no result that '\(binding.text)' could be", at: first.span))
    }
    bind(binding.text, to: last)
  }

  private func command(_ line: CommandLine, _ output: any Output) async throws(CommandFailure) {
    guard let first = line.words.first else { return }
    let name = first.word ?? ""
    var line = line
    let command: any Command.Type
    if case .bare = first.literal.kind, let found = CommandRegistry.command(name) {
      command = found
    } else if isValue(first), line.words.count == 1 {
      output.emit(.value(try value(of: first)))
      return
    } else if let call = CommandRegistry.command("call"), startsCall(line) {
      command = call
      line = line.prefixed(by: "call")
    } else {
      throw remember(unknown(first))
    }
    let words = BoundWords(
      line.words.dropFirst(), grammar: command.grammar, snapshot: snapshotWithoutStates,
      usageOf: command.name)
    if let issue = words.issues.first { throw remember(CommandFailure(issue)) }
    try await command.run(CommandInput(line: line, words: words, output: output), in: self)
  }

  /// Whether a line without a command's name calls a procedure: `math.add 1 2`, `s1 math.add 1 2`.
  func startsCall(_ line: CommandLine) -> Bool {
    guard let first = line.words.first?.word else { return false }
    let snapshot = snapshotWithoutStates
    if first.isQualifiedName || snapshot.knowsProcedure(first) { return true }
    guard line.words.count > 1, let second = line.words[1].word else { return false }
    let isServer =
      first == "*" || first.split(separator: ",").allSatisfy { snapshot.serverNames.contains(String($0)) }
    return isServer && (second.isQualifiedName || snapshot.knowsProcedure(second))
  }

  private func isValue(_ argument: Argument) -> Bool {
    guard argument.name == nil else { return false }
    switch argument.literal.kind {
    case .bare(let text):
      return BareText.number(text) != nil || BareText.bool(text) != nil || BareText.isNone(text)
    default: return true
    }
  }

  private func value(of argument: Argument) throws(CommandFailure) -> Value {
    let literal = try loader().load(argument.literal)
    do throws(FitError) {
      return try literal.natural()
    } catch {
      throw remember(.usage(error.message, at: error.span))
    }
  }

  private func unknown(_ first: Argument) -> CommandFailure {
    let name = first.plainText
    let snapshot = snapshotWithoutStates
    if snapshot.serviceNames.contains(where: { $0.hasSameUTF8(as: name) })
      || name == SystemContract.service
    {
      return .usage(
        "'\(name)' is a service, not a command", at: first.span,
        hint:
          "'procedures \(name)' lists what it has; \(name).PROCEDURE calls it; 'describe \(name)' shows more")
    }
    if snapshot.serverNames.contains(where: { $0.hasSameUTF8(as: name) }) {
      return .usage(
        "'\(name)' is a server, not a command", at: first.span,
        hint:
          "'\(name) SERVICE.RPC' calls it; 'use \(name)' makes it the one that is called; 'describe \(name)' shows more"
      )
    }
    if snapshot.clientNames.contains(where: { $0.hasSameUTF8(as: name) }) {
      return .usage(
        "'\(name)' is a client, not a command", at: first.span, hint: "'as \(name)' calls as that client")
    }
    var known = CommandRegistry.names
    known += snapshot.procedures(on: nil).map(\.signature.qualifiedName)
    let suggestion = Suggestion.text(for: name, among: known)
    let shown = TextWidth.cut(name, to: 40)
    return .usage(
      "unknown command '\(shown)'" + suggestion, at: first.span,
      hint: suggestion.isEmpty ? "'help' lists the commands, 'procedures' what can be called" : nil)
  }

  /// Notes a failure for `why`.
  func remember(_ failure: CommandFailure) -> CommandFailure {
    change { $0.history.lastUsage = failure }
    return failure
  }

  // MARK: Arguments

  func loader() -> ArgumentLoader {
    ArgumentLoader(variables: snapshotWithoutStates.variables) { () throws(CommandFailure) in
      try self.readStandardInput()
    }
  }

  private func readStandardInput() throws(CommandFailure) -> [UInt8] {
    switch change({ $0.standardInput }) {
    case .content(let bytes): return bytes
    case .isScript: throw .usage("'-' cannot be read: standard input is the script itself")
    case .readable:
      let bytes: [UInt8]?
      do throws(SystemError) {
        bytes = try WholeFile.read(0, limit: ShellLimits.fileBytesMax) { Task.isCancelled }
      } catch {
        throw .usage("cannot read standard input: \(FileContent.reason(error))")
      }
      guard let bytes else { throw .interrupted }
      // A terminal can be read again: Ctrl-D ends one text, not all of them.
      if !Terminal.isTerminal(0) { change { $0.standardInput = .content(bytes) } }
      return bytes
    }
  }
}

extension CommandLine {
  /// The same line with a command's name put before it, where nobody typed one.
  func prefixed(by name: String) -> CommandLine {
    var line = self
    let start = words.first?.span.lowerBound ?? 0
    let literal = Literal(kind: .bare(name), span: start..<start)
    line.words.insert(Argument(name: nil, literal: literal, span: start..<start, text: name), at: 0)
    return line
  }
}
