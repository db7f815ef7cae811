import Foundation
import FuzzTargets
import TestSupport
import Testing

/// The committed corpus: a folder per target, with seeds and every input that once failed.
enum Corpus {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../FuzzCorpus")

  static func files(_ target: FuzzTarget) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(
      at: folder.appending(path: target.rawValue), includingPropertiesForKeys: nil
    ).sorted { $0.path < $1.path }
  }
}

@Suite("The fuzzers' corpus")
struct CorpusTests {
  @Test("every target has seeds", arguments: FuzzTarget.allCases)
  func seeds(target: FuzzTarget) throws {
    #expect(try Corpus.files(target).count >= 3)
  }

  @Test("no input of the corpus breaks its target", arguments: FuzzTarget.allCases)
  func replay(target: FuzzTarget) async throws {
    for file in try Corpus.files(target) {
      do {
        try await target.runOnThread([UInt8](Data(contentsOf: file)))
      } catch {
        Issue.record("\(file.lastPathComponent): \(error)")
      }
    }
  }

  /// A taste of fuzzing where libFuzzer is not at hand. FUZZ_SEED repeats a run.
  @Test("nothing near the corpus breaks its target", arguments: FuzzTarget.allCases)
  func mutations(target: FuzzTarget) async throws {
    let seeds = try Corpus.files(target).map { [UInt8](try Data(contentsOf: $0)) }
    let seed =
      ProcessInfo.processInfo.environment["FUZZ_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 1 ... .max)
    var random = SeededRandom(seed: seed)
    for _ in 0..<2000 {
      let bytes = Mutation.mutate(seeds, &random)
      do {
        try await target.runOnThread(bytes)
      } catch {
        Issue.record("FUZZ_SEED=\(seed): \(error); input \(Data(bytes).base64EncodedString())")
        return
      }
    }
  }
}

extension FuzzTarget {
  /// Runs on a thread that may block: those of tasks, of which there are as many as cores, have to run what a server
  /// does in tasks.
  func runOnThread(_ bytes: [UInt8]) async throws {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(with: Result { try self.run(bytes) })
      }
    }
  }
}

/// Changes an input a little, as fuzzers do.
enum Mutation {
  static func mutate(_ seeds: [[UInt8]], _ random: inout SeededRandom) -> [UInt8] {
    var bytes = seeds.randomElement(using: &random) ?? []
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let at = Int.random(in: 0...bytes.count, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0 where at < bytes.count: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1 where at < bytes.count: bytes[at] = .random(in: 0...255, using: &random)
      case 2: bytes.insert(.random(in: 0...255, using: &random), at: at)
      case 3: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...8, using: &random)))
      case 4:
        let length = min(bytes.count - at, Int.random(in: 1...16, using: &random))
        bytes.insert(contentsOf: bytes[at..<at + length], at: at)
      default:
        let other = seeds.randomElement(using: &random) ?? []
        bytes.replaceSubrange(at..., with: other.dropFirst(at))
      }
    }
    return bytes
  }
}
