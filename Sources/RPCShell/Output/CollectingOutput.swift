internal import RPCSystem

/// Keeps everything: for jobs, which tell at their end, and for comparing.
final class CollectingOutput: Output {
  let renderer: Renderer
  private let state = Lock(Renderer.Text())

  init(renderer: Renderer) { self.renderer = renderer }

  var text: Renderer.Text { state.withLock { $0 } }

  func add(_ text: Renderer.Text) {
    state.withLock { state in
      state.out += text.out
      state.err += text.err
    }
  }
}
