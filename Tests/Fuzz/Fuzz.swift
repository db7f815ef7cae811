import FuzzTargets
import Glibc

#if FUZZING
  /// libFuzzer's main loop (compiler-rt, fuzzer/FuzzerInterface.h).
  @_silgen_name("LLVMFuzzerRunDriver")
  private func runFuzzer(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
  ) -> CInt
#endif

/// Fuzzes the target that FUZZ_TARGET names, where Scripts/fuzz built this with libFuzzer. Built without, it
/// runs the files that it is given, to look at one with a debugger.
@main
enum Fuzz {
  static func main() {
    guard let name = getenv("FUZZ_TARGET"), let target = FuzzTarget(rawValue: String(cString: name)) else {
      print("FUZZ_TARGET is one of \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", "))")
      exit(64)
    }
    #if FUZZING
      current = target
      var count = CommandLine.argc
      var arguments = CommandLine.unsafeArgv
      exit(
        runFuzzer(&count, &arguments) { bytes, count in
          Fuzz.run([UInt8](UnsafeBufferPointer(start: bytes, count: count)), current)
          return 0
        })
    #else
      for path in CommandLine.arguments.dropFirst() {
        print(path)
        run(read(path), target)
      }
    #endif
  }

  static func run(_ bytes: [UInt8], _ target: FuzzTarget) {
    do {
      try target.run(bytes)
    } catch {
      fatalError(error.description)
    }
  }

  #if !FUZZING
    private static func read(_ path: String) -> [UInt8] {
      guard let file = fopen(path, "r") else { return [] }
      defer { fclose(file) }
      var bytes: [UInt8] = []
      while case let byte = fgetc(file), byte >= 0 { bytes.append(UInt8(byte)) }
      return bytes
    }
  #endif
}

#if FUZZING
  /// Written once, before libFuzzer starts on the same thread.
  nonisolated(unsafe) private var current = FuzzTarget.value
#endif
