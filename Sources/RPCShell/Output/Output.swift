/// Where a command's output goes: the terminal, a pipe, a recording, a job's notice.
protocol Output: Sendable {
  var isInteractive: Bool { get }
  var renderer: Renderer { get }
  /// Whether nobody takes what is written any more, as behind `| head`.
  var isClosed: Bool { get }
  func emit(_ item: OutputItem)
  /// Writes text that is rendered already.
  func add(_ text: Renderer.Text)
  /// A line that the next one is drawn over, for work that takes long; nil takes it away. Nothing when nobody is
  /// watching.
  func progress(_ line: String?)
  /// Everything said so far leaves, before somebody else writes.
  func flush()
  /// A background job has ended.
  func job(_ number: Int, _ text: String, _ status: JobTable.Job.Status, _ output: Renderer.Text)
}

extension Output {
  var isInteractive: Bool { renderer.isInteractive }
  var isClosed: Bool { false }
  func emit(_ item: OutputItem) { add(renderer.render(item)) }
  func progress(_ line: String?) {}
  func flush() {}
  func job(_ number: Int, _ text: String, _ status: JobTable.Job.Status, _ output: Renderer.Text) {
    add(output)
  }
}
