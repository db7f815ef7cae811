public import RPCNetwork
import RPCSystem

/// An init.yaml that may change while a program runs: it is read again whenever it was written or replaced. What is
/// wrong with a new content is told once, and what the file said before stays in use. The sources that it names are
/// not looked at.
public struct InitFileSource: TopologySource {
  package typealias Change = Result<InitFile, InitFileErrors>

  package let path: String
  private let interval: Duration
  private let clock: any Clock<Duration>

  /// - Parameter path: of the file, which need not be there yet.
  public init(_ path: String = InitFile.defaultPath) {
    self.init(path, interval: .milliseconds(DeploymentLimits.fileIntervalMilliseconds))
  }

  /// - Parameter interval: from one look at the file to the next, on `clock`.
  package init(
    _ path: String = InitFile.defaultPath, interval: Duration,
    clock: any Clock<Duration> = ContinuousClock()
  ) {
    self.path = path
    self.interval = interval
    self.clock = clock
  }

  /// What the file says, and then each change of it. The file is looked at when the next one is asked for, and then at
  /// each interval until there is one.
  package var files: AsyncStream<Change> { follow { $0 } }

  public var topologies: AsyncStream<TopologyUpdate> {
    follow { change in
      switch change {
      case .success(let file): .topology(file.network)
      case .failure(let errors): .refused(errors.description)
      }
    }
  }

  private func follow<Update: Sendable>(
    _ convert: @escaping @Sendable (Change) -> Update
  ) -> AsyncStream<Update> {
    let follower = InitFileFollower(path)
    let (interval, clock) = (interval, clock)
    return AsyncStream {
      while !Task.isCancelled {
        if let change = follower.change() { return convert(change) }
        try? await clock.sleep(for: interval)
      }
      return nil
    }
  }
}

/// Tells from one look at a file to the next what has changed.
final class InitFileFollower: Sendable {
  private struct State {
    var stamp: FileStamp?
    /// Of what was told last: the content's digest, or why there was none.
    var told: String?
  }

  private let path: String
  private let state = Lock(State())

  init(_ path: String) {
    self.path = path
  }

  /// Looks at the file; nil where it says what it said the last time.
  func change() -> InitFileSource.Change? {
    state.withLock { state in
      // Taken before the file is read: what is written meanwhile shows the next time.
      let stamp = FileStamp(of: path)
      if stamp == state.stamp, stamp.isSettled { return nil }
      state.stamp = stamp
      let content = InitFile.content(path)
      let told =
        switch content {
        case .success(let bytes): ContentDigest.hex(of: bytes)
        case .failure(let errors): errors.description
        }
      guard told != state.told else { return nil }
      state.told = told
      return content.flatMap { bytes in
        Result { () throws(InitFileErrors) in
          try InitFile.parse(bytes, path: path, checkingSources: false)
        }
      }
    }
  }
}
