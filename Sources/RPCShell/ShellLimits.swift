/// Every bound of the shell, in one place.
enum ShellLimits {
  /// Bytes of one command in a script: as much as one call can carry.
  static let commandBytesMax = 16 * 1024 * 1024
  /// Bytes of one command typed at the prompt; larger values come from files with `@file`.
  static let promptBytesMax = 64 * 1024
  /// How deep brackets may nest in a literal: as deep as the wire takes.
  static let nestingDepthMax = 64
  /// Results kept for `$1`, `$2`, …; older ones are forgotten.
  static let resultsKept = 1000
  /// Commands kept in memory and shown by the arrows.
  static let historyEntriesMax = 10_000
  /// Bytes of the history file above which it is rewritten with its newest half.
  static let historyFileBytesMax = 8 * 1024 * 1024
  /// Calls of a script in flight at once.
  static let pipelineCallsMax = 1024
  /// Bytes that `@file` and `-` read at most.
  static let fileBytesMax = 16 * 1024 * 1024
  /// Background jobs at once.
  static let jobsMax = 64
  /// How deep scripts may run scripts with `source`.
  static let sourceDepthMax = 16
  /// Candidates of a completion that are looked at.
  static let candidatesMax = 2000
  /// Rows of candidates before they are paged.
  static let candidateRowsMax = 40
  /// The widest a table's column gets before its text is cut, in terminal columns.
  static let columnWidthMax = 60

  /// A list of dictionaries with more keys than that is shown as it is, not as a table.
  static let rowColumnsMax = 100
  /// How many names a message lists where none is like the one that was written.
  static let namesListed = 12
  /// Characters of a value shown in a list, a candidate or an explanation.
  static let excerptColumns = 200

  /// How long a server may take to answer a ping before it counts as down.
  static let pingWait = Duration.seconds(2)
  /// How long a server may take to answer a call of its service `system`.
  static let systemCallDeadline = Duration.seconds(5)
  /// How long a call with a shorter timeout waits for the catalogue that it needs first.
  static let catalogueWaitMin = Duration.seconds(1)
  /// How often the prompt pings the servers that are up, so that one that hangs is seen.
  static let pingInterval = Duration.seconds(5)
  /// States of the line being typed that undo can go back to.
  static let undoStatesMax = 500

  /// Calls that `bench` keeps in flight at most.
  static let outstandingMax = 10_000
  /// How long `bench` waits, after its duration, for what is still in flight.
  static let lastAnswersWait = Duration.seconds(2)
  /// A recorded call may take this many times what it took, and never less than a tenth of a second, before
  /// `replay --check` finds it slow.
  static let budgetFactor = 10
}
