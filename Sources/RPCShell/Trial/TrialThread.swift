import RPCProcedures
import RPCSystem
import RPCTransport
import RPCWire

/// The loop of a trial, with the runtimes that a server's loop would have.
struct TrialThread: Sendable {
  struct Context: Sendable {
    var isolation: IsolationPolicy
    var secrets: SecretStore
    /// Where packages of requirements are installed; nil where they cannot be kept.
    var environments: String?
    var interpreters: PythonInterpreters
    var allowsSourceBuilds: Bool
  }

  let services: TrialServices
  let context: Context
  /// The longest that it may run, whatever its procedure allows.
  let timeout: Duration
  /// Takes what the procedure prints.
  let errors: @Sendable (String) -> Void

  /// `@unchecked Sendable`: set before the thread's first mail, and used on its loop only.
  private final class Box: @unchecked Sendable {
    var host: TrialHost?
  }

  /// Loads a procedure and calls it once. Cancelling the task ends it, with all that it started.
  func run(_ procedure: Procedure, _ arguments: [UInt8]) async throws(RPCError) -> [Value] {
    guard let unit = services.unit(of: procedure) else {
      throw RPCError(.rpcNotFound, "the file does not declare \(procedure.signature)")
    }
    let box = Box()
    let thread: LoopThread
    do throws(SystemError) {
      thread = try LoopThread(name: "rpc-try") { [services, context, timeout, errors] loop in
        box.host = TrialHost(services, context, timeout: timeout, loop: loop, errors: errors)
      }
    } catch {
      throw RPCError(.unavailable, "no thread can be started: \(error)")
    }
    let result: Result<[UInt8], RPCError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        thread.mailbox.post { _ in
          box.host?.run(unit, arguments) { continuation.resume(returning: $0) }
        }
      }
    } onCancel: {
      thread.mailbox.post { _ in box.host?.cancel() }
    }
    thread.mailbox.post { loop in
      box.host?.shutDown()
      box.host = nil
      loop.stop()
    }
    thread.join()
    let bytes = try result.get()
    do throws(WireError) {
      return try Value.list(messagePack: bytes)
    } catch {
      throw RPCError(.protocolError, "the return values cannot be read: \(error)", executed: .yes)
    }
  }
}
