/// The sources whose interpreters are kept while nobody calls them: at most so many, those that were called last, each
/// for so long. Those of calls in progress do not count.
package struct LuaShelf<Source: LuaShelfItem> {
  /// How many are kept.
  package let limit: Int
  /// Without order: it is looked through when one more is loaded, which takes a hundred times as long.
  package private(set) var sources: ContiguousArray<Source> = []

  package init(limit: Int) {
    self.limit = limit
  }

  /// Puts a source there whose interpreter was loaded just now.
  package mutating func add(_ source: Source) {
    sources.append(source)
  }

  /// Its interpreter is gone.
  package mutating func remove(_ source: Source) {
    if let index = sources.firstIndex(where: { $0 === source }) {
      sources.swapAt(index, sources.count - 1)
    } else {
      return
    }
    sources.removeLast()
  }

  /// Takes out those that are too many, and returns them: first what was never called, then what was called longest ago.
  ///
  /// - Parameter newest: stays whatever it is, since its caller goes on to use it.
  package mutating func trim(but newest: Source? = nil) -> [Source] {
    guard sources.count > limit else { return [] }
    var excess = sources.count { !$0.isBusy } - limit
    var taken: [Source] = []
    while excess > 0, let index = worst(but: newest) {
      taken.append(sources[index])
      sources.swapAt(index, sources.count - 1)
      sources.removeLast()
      excess -= 1
    }
    return taken
  }

  /// Takes out those that nobody has called since `time`, and returns them.
  package mutating func takeUnused(since time: UInt64) -> [Source] {
    let taken = sources.filter { !$0.isBusy && $0.lastUsed < time }
    sources.removeAll { !$0.isBusy && $0.lastUsed < time }
    return Array(taken)
  }

  private func worst(but newest: Source?) -> Int? {
    sources.indices.filter { !sources[$0].isBusy && sources[$0] !== newest }.min { left, right in
      let (left, right) = (sources[left], sources[right])
      return left.isUsed == right.isUsed ? left.lastUsed < right.lastUsed : !left.isUsed
    }
  }
}

/// What a shelf is told of a source.
package protocol LuaShelfItem: AnyObject {
  /// When it was called last, or loaded, on any clock.
  var lastUsed: UInt64 { get }
  /// Whether it was called at all since it was loaded.
  var isUsed: Bool { get }
  /// Whether calls of it are in progress.
  var isBusy: Bool { get }
}
