internal import CLua
internal import RPCTransport
internal import RPCWire

/// Calls run in slices, in turn with the others.
extension LuaRuntime {
  func start(_ invocation: Invocation, _ procedure: LuaProcedure, on machine: LuaMachine) {
    procedure.source.lastUsed = loop.now
    procedure.source.isUsed = true
    let task: LuaTask
    do throws(RPCError) {
      task = LuaTask(
        invocation, procedure, function: try procedure.function(in: machine), on: machine,
        context: context)
    } catch {
      return invocation.finish(.failure(error))
    }
    invocation.state = task
    keep(task)
    if exhaustedTurn == loop.now {
      enqueue(task)
    } else {
      run(task)
    }
  }

  /// Whether a call may begin before those that wait have had their turn.
  var runsOnTheSpot: Bool {
    exhaustedTurn != loop.now && inFlight < limits.luaCallsInFlight && !isShutDown
  }

  /// Goes on with a call that was begun where it was read, on the machine that its source has now.
  func goOn(
    _ call: OpaquePointer, _ outcome: rpclua_outcome, _ procedure: LuaProcedure, as invocation: Invocation
  ) {
    guard case .loaded(let machine) = procedure.source.state else {
      preconditionFailure("a call runs where its source is loaded")
    }
    let task = LuaTask(continuing: call, invocation, procedure, on: machine, context: context)
    invocation.state = task
    keep(task)
    handle(outcome, of: task)
  }

  func keep(_ task: LuaTask) {
    task.machine.taskCount += 1
    task.slot = freeSlots.popLast() ?? tasks.count
    if task.slot == tasks.count { tasks.append(task) } else { tasks[task.slot] = task }
  }

  func enqueue(_ task: LuaTask) {
    task.place = ready.append(task)
    schedule()
  }

  func schedule() {
    guard !isScheduled else { return }
    isScheduled = true
    loop.atEndOfTurn { [weak self] in
      guard let self else { return }
      isScheduled = false
      runTurn()
    }
  }

  /// Once a turn: paused calls in turn until one of them has used up a slice.
  func runTurn() {
    while let task = ready.popFirst() {
      task.place = nil
      if run(task) { break }
    }
    if ready.isEmpty {
      collectGarbage()
    } else {
      schedule()
    }
  }

  /// Runs one slice of a call. Returns whether it used it up.
  @discardableResult
  func run(_ task: LuaTask) -> Bool {
    if let deadline = task.loadDeadline, deadline <= loop.now {
      end(
        task,
        .failure(
          RPCError(.failedPrecondition, "loading took more than \(limits.loadMilliseconds) ms", executed: .no)
        ))
      return false
    }
    guard let outcome = task.resume() else {
      end(task, task.result(of: rpclua_out_of_memory))
      return false
    }
    return handle(outcome, of: task)
  }

  @discardableResult
  private func handle(_ outcome: rpclua_outcome, of task: LuaTask) -> Bool {
    switch outcome {
    case rpclua_paused:
      exhaustedTurn = loop.now
      task.slices += 1
      if task.slices > limits.luaSlicesPerCall {
        end(
          task,
          .failure(
            RPCError(
              .executionException,
              "the call used more than \(limits.luaSlicesPerCall) slices of processor time",
              executed: .yes)))
      } else {
        enqueue(task)
      }
      return true
    case rpclua_calling:
      call(task)
      return false
    case rpclua_ejected:
      stopInterpreter(of: task)
      return true
    case rpclua_out_of_memory:
      let result = task.result(of: outcome)
      // What it leaves behind is more than can be collected in passing; the next call gets a new machine.
      replace(task.machine)
      end(task, result)
      return false
    default:
      end(task, task.result(of: outcome))
      return false
    }
  }

  func end(_ task: LuaTask, _ result: Result<[UInt8], RPCError>) {
    guard !task.isFinished else { return }
    tasks[task.slot] = nil
    freeSlots.append(task.slot)
    if let place = task.place.take() { ready.remove(place) }
    let machine = task.machine
    machine.taskCount -= 1
    task.finish(result)
    noteGarbage(of: machine)
    if machine.taskCount == 0 { for source in shelf.trim() { giveBack(source) } }
  }

  /// The call asks for another procedure: it goes on when that has answered.
  func call(_ task: LuaTask) {
    guard let request = task.request() else { return }
    let completion: (Result<[Value], RPCError>) -> Void = { [weak self] result in
      guard let self, !task.isFinished else { return }
      task.endNested = nil
      task.answer(result)
      enqueue(task)
    }
    guard let nested else {
      return completion(.failure(RPCError(.unavailable, "procedures cannot call others here")))
    }
    switch request.arguments {
    case .success(let arguments):
      task.endNested = nested.call(
        request.procedure, arguments, on: request.server, from: task.procedure.signature.service,
        deadline: task.callDeadline, depth: task.depth + 1, metadata: task.callContext.forwarded,
        completion: completion)
    case .failure(let error):
      completion(.failure(RPCError(.invalidArguments, error.description)))
    }
  }
}
