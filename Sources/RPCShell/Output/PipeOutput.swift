import CLibEdit
import Glibc
import RPCSystem

/// `| command`: results go into a program's standard input.
final class PipeOutput: Output {
  let renderer: Renderer
  private let parent: any Output
  private let child: ChildProcess
  private let descriptor: Lock<Int32?>

  init(_ command: String, from parent: any Output) throws(CommandFailure) {
    self.parent = parent
    renderer = parent.renderer.forPrograms
    var ends: [Int32] = [0, 0]
    guard rpc_pipe(&ends) == 0 else { throw .other("no pipe: \(SystemError.last("pipe").reason)") }
    do throws(SystemError) {
      child = try ChildProcess.start(["/bin/sh", "-c", command], descriptors: [ends[0]])
    } catch {
      close(ends[0])
      close(ends[1])
      throw .other("cannot run '\(command)': \(error.reason)")
    }
    close(ends[0])
    descriptor = Lock(ends[1])
  }

  var isClosed: Bool { descriptor.withLock { $0 == nil } }

  func add(_ text: Renderer.Text) {
    if !text.err.isEmpty { parent.add(Renderer.Text(err: text.err)) }
    descriptor.withLock { descriptor in
      guard let raw = descriptor, !text.out.isEmpty else { return }
      if !StandardOutput.write(raw, Array(text.out.utf8)) {
        // The program has read enough, as `head` does.
        close(raw)
        descriptor = nil
      }
    }
  }

  /// Ends the program's input and waits for it; returns its status.
  func finish() async -> Int32 {
    descriptor.withLock { descriptor in
      if let raw = descriptor { close(raw) }
      descriptor = nil
    }
    return await child.ended()
  }
}
