import RPCDeployment

extension Shell {
  /// What completes the words of `rpc-client`'s own command line, for the shell that it is typed into.
  package enum Completions {
    /// The clients that the file of the command line names.
    package static func clients(_ words: [String]) -> [String] {
      NetworkNames(words: words, flag: "--config").clients
    }

    /// How the command of `-c` can go on, each as a whole, as completed as at the prompt; nobody is asked for it.
    package static func commands(_ words: [String], at index: Int) -> [String] {
      guard words.indices.contains(index) else { return [] }
      let typed = NetworkNames.unquoted(words[index])
      // Shells expand what they are given: such a word is left alone rather than run.
      guard !typed.contains(where: { "$`\\\"'\n".contains($0) }) else { return [] }
      let names = NetworkNames(words: words, flag: "--config")
      let completion = Completion.complete(
        typed, NetworkSnapshot(topology: names.topology, declared: names.procedures))
      let start = String(decoding: typed.utf8.prefix(completion.start), as: UTF8.self)
      return completion.texts.filter { !$0.contains(where: { "$`\\\"'\n".contains($0) }) }.map { start + $0 }
    }
  }
}
