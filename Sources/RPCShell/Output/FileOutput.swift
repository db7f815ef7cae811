import CLinux
import Glibc
import RPCSystem

/// `> file`: results go into a file; everything else goes where it went.
final class FileOutput: Output {
  let renderer: Renderer
  private let parent: any Output
  private let descriptor: Descriptor
  private let state = Lock<SystemError?>(nil)

  init(_ path: String, appends: Bool, from parent: any Output) throws(SystemError) {
    let raw = rpc_open(
      path, O_WRONLY | O_CREAT | O_CLOEXEC | (appends ? O_APPEND : O_TRUNC), 0o666)
    guard raw >= 0 else { throw SystemError.last("open") }
    descriptor = Descriptor(raw)
    self.parent = parent
    renderer = parent.renderer.forPrograms
  }

  /// Why something could not be written, nil when all was.
  var failure: SystemError? { state.withLock { $0 } }
  var isClosed: Bool { failure != nil }

  func add(_ text: Renderer.Text) {
    if !text.err.isEmpty { parent.add(Renderer.Text(err: text.err)) }
    state.withLock { failure in
      guard failure == nil, !text.out.isEmpty else { return }
      if !StandardOutput.write(descriptor.raw, Array(text.out.utf8)) { failure = SystemError.last("write") }
    }
  }

  func progress(_ line: String?) { parent.progress(line) }
}
