/// The calls that run in the background.
struct JobTable: Sendable {
  struct Job: Sendable {
    enum Status: Hashable, Sendable {
      case running
      case done
      case failed
      case cancelled
    }

    var number: Int
    var text: String
    var started: ContinuousClock.Instant
    var ended: ContinuousClock.Instant?
    var status: Status
    var task: Task<Void, Never>?
    /// Who wait for its end.
    var waiters: [FirstAnswer<Bool>] = []
  }

  private(set) var jobs: [Job] = []
  private var lastNumber = 0

  var running: [Int] { jobs.filter { $0.status == .running }.map(\.number) }

  /// A new job's number, nil when there are too many.
  mutating func add(_ text: String) -> Int? {
    guard running.count < ShellLimits.jobsMax else { return nil }
    lastNumber += 1
    jobs.append(Job(number: lastNumber, text: text, started: .now, status: .running))
    // Ended ones are kept as long as there are few.
    if jobs.count > 2 * ShellLimits.jobsMax, let old = jobs.firstIndex(where: { $0.status != .running }) {
      jobs.remove(at: old)
    }
    return lastNumber
  }

  mutating func attach(_ task: Task<Void, Never>, to number: Int) {
    guard let index = index(number) else { return }
    jobs[index].task = task
  }

  mutating func finish(_ number: Int, _ status: Job.Status) -> [FirstAnswer<Bool>] {
    guard let index = index(number) else { return [] }
    jobs[index].status = status
    jobs[index].ended = .now
    jobs[index].task = nil
    let waiters = jobs[index].waiters
    jobs[index].waiters = []
    return waiters
  }

  /// False when the job has ended already.
  mutating func wait(_ number: Int, _ waiter: FirstAnswer<Bool>) -> Bool {
    guard let index = index(number), jobs[index].status == .running else { return false }
    jobs[index].waiters.append(waiter)
    return true
  }

  func job(_ number: Int) -> Job? { index(number).map { jobs[$0] } }

  private func index(_ number: Int) -> Int? { jobs.firstIndex { $0.number == number } }
}
