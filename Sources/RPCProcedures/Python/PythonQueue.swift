/// Jobs that wait for a worker, first come first served. A job that was cancelled stays where it is until it
/// comes to the front or too many of its kind have gathered, so that cancelling costs no search.
internal struct PythonQueue {
  private var jobs: [PythonJob] = []
  private var head = 0
  private var finished = 0

  /// Jobs that still wait.
  var count: Int { jobs.count - head - finished }
  var isEmpty: Bool { count == 0 }

  mutating func append(_ job: PythonJob) {
    jobs.append(job)
  }

  /// The job that has waited longest.
  var first: PythonJob? {
    mutating get {
      while head < jobs.count {
        if !jobs[head].isFinished { return jobs[head] }
        head += 1
        finished -= 1
      }
      removeHead()
      return nil
    }
  }

  mutating func removeFirst() {
    head += 1
    if head > 64, head > jobs.count / 2 { removeHead() }
  }

  private mutating func removeHead() {
    jobs.removeFirst(head)
    head = 0
  }

  /// A waiting job was cancelled.
  mutating func noteFinished() {
    finished += 1
    guard finished > 64, finished > count else { return }
    removeHead()
    jobs.removeAll(where: \.isFinished)
    finished = 0
  }

  mutating func removeAll() -> [PythonJob] {
    defer { self = PythonQueue() }
    return jobs[head...].filter { !$0.isFinished }
  }
}
