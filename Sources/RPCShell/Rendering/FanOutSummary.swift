import RPCClient
import RPCWire

/// The answers of several servers, identical ones together, the largest group first. A server that answered
/// differently or much later than the others is marked.
struct FanOutSummary {
  struct Group {
    var servers: [String]
    var latencies: [Duration]
    var answer: String
    var isError: Bool
    /// What makes answers equal.
    var key: UTF8Key
  }

  private(set) var groups: [Group] = []
  private let median: Duration

  init(_ fanOut: FanOut) {
    let sorted = fanOut.entries.map(\.elapsed).sorted()
    median = sorted.isEmpty ? .zero : sorted[sorted.count / 2]
    for entry in fanOut.entries {
      let (answer, isError) = Self.text(entry.result)
      let key = (try? entry.result.get().values).map { Value.list($0).comparable } ?? UTF8Key(answer)
      if let index = groups.firstIndex(where: { $0.key == key && $0.isError == isError }) {
        groups[index].servers.append(entry.server)
        groups[index].latencies.append(entry.elapsed)
      } else {
        groups.append(
          Group(
            servers: [entry.server], latencies: [entry.elapsed], answer: answer, isError: isError, key: key))
      }
    }
    groups.sort {
      !$0.isError && $1.isError || $0.isError == $1.isError && $0.servers.count > $1.servers.count
    }
  }

  private static func text(_ result: Result<CallResult, RPCError>) -> (String, Bool) {
    switch result {
    case .success(let answer):
      answer.values.isEmpty
        ? ("(no value)", false)
        : (answer.values.map { ValueText.shown($0, width: .max) }.joined(separator: ", "), false)
    case .failure(let error): ("\(error)", true)
    }
  }

  var table: Table {
    var table = Table([
      Table.Column("servers"), Table.Column("latency", right: true), Table.Column("answer", widthMax: 1000),
      Table.Column(""),
    ])
    for (index, group) in groups.enumerated() {
      var marks: [String] = []
      if differs(index) { marks.append("← differs") }
      let slow = zip(group.servers, group.latencies).filter { isSlow($1) }.map(\.0)
      if !slow.isEmpty {
        marks.append("← slow" + (slow == group.servers ? "" : ": " + slow.joined(separator: ", ")))
      }
      table.rows.append([
        .names(group.servers), Table.Cell(Self.range(group.latencies)),
        Table.Cell(group.answer, role: group.isError ? .bad : .plain),
        Table.Cell(marks.joined(separator: " "), role: .warning),
      ])
    }
    return table
  }

  /// Whether a group stands against the rest: where everybody answers something else, nobody does.
  private func differs(_ index: Int) -> Bool {
    guard index > 0, !groups[index].isError, !groups[0].isError else { return false }
    return groups[0].servers.count > groups[index].servers.count || groups.count { !$0.isError } == 2
  }

  /// Three times the median and at least 10 ms above it.
  private func isSlow(_ latency: Duration) -> Bool {
    latency > median * 3 && latency > median + .milliseconds(10)
  }

  private static func range(_ latencies: [Duration]) -> String {
    guard let low = latencies.min(), let high = latencies.max() else { return "" }
    let from = Quantity.duration(low)
    let to = Quantity.duration(high)
    return from == to ? from : "\(from) … \(to)"
  }
}
