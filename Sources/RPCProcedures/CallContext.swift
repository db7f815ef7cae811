public import RPCWire

/// Who makes a call, and what came with it besides its arguments.
///
/// ```swift
/// NativeProcedure("math.add") { (a: Int, b: Int) in
///   log("\(CallContext.current?.caller ?? "somebody") adds")
///   return a + b
/// }
/// ```
public struct CallContext: Sendable {
  /// That of the call which this closure answers, nil outside of one. Tasks that a closure starts with `Task` have it
  /// where the closure may wait; one that must not may hand it on.
  public static var current: CallContext? { ofTask ?? RunningCallOffer.context }

  /// That of a call which is answered elsewhere than on its loop.
  @TaskLocal package static var ofTask: CallContext?

  /// The name of the registered client that calls; nil where none is known.
  public let caller: String?
  /// When the call must have ended, in nanoseconds of the monotonic clock; nil for never.
  public let deadlineNanoseconds: UInt64?
  private let encoded: [UInt8]
  /// The binary W3C trace context of a native call, or nothing.
  private let trace: [UInt8]

  /// - Parameters:
  ///   - metadata: a MessagePack map, or nothing.
  ///   - trace: 26 bytes, or none.
  package init(
    caller: String? = nil, metadata: [UInt8] = [], trace: [UInt8] = [], deadlineNanoseconds: UInt64? = nil
  ) {
    self.caller = caller
    encoded = metadata
    self.trace = trace
    self.deadlineNanoseconds = deadlineNanoseconds
  }

  /// What goes on to the calls that a procedure makes, by itself; the rest goes where the procedure passes it.
  private static let forwardedNames: Set<String> = ["traceparent", "tracestate", "baggage"]

  /// What the caller sent along: over HTTP the fields of the request, in lower case, without `authorization` and `cookie`.
  public var metadata: [String: Value] {
    var metadata: [String: Value] = [:]
    if !encoded.isEmpty, case .map(let entries) = try? Value(messagePack: encoded) {
      for entry in entries where !CallFrame.reservedKeys.contains(entry.key) {
        metadata[entry.key] = entry.value
      }
    }
    if metadata["traceparent"] == nil, let text = traceparent { metadata["traceparent"] = .string(text) }
    return metadata
  }

  package var forwarded: [String: Value] {
    guard !encoded.isEmpty || !trace.isEmpty else { return [:] }
    return metadata.filter { Self.forwardedNames.contains($0.key) }
  }

  /// The binary trace context as text: version, trace id, span id, flags.
  private var traceparent: String? {
    guard trace.count == CallFrame.traceByteCount else { return nil }
    func hexadecimal(_ range: Range<Int>) -> String {
      trace[range].map { $0 < 16 ? "0\(String($0, radix: 16))" : String($0, radix: 16) }.joined()
    }
    return "\(hexadecimal(0..<1))-\(hexadecimal(1..<17))-\(hexadecimal(17..<25))-\(hexadecimal(25..<26))"
  }
}
