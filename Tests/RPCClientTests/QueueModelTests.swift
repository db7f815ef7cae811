import RPCSystem
import RPCWire
import TestSupport
import Testing

@testable import RPCClient

/// Every queue and table of the client against a plain model: thousands of random steps, each seed one test case, so
/// that a failure names the seed.
@Suite("The client's queues and tables, against plain models")
struct QueueModelTests {
  final class Step {
    let number: Int
    init(_ number: Int) { self.number = number }
  }

  @Test(
    "pending calls: whatever is inserted, answered, abandoned or dropped, in any order", arguments: 1...12)
  func pendingTable(seed: UInt64) {
    var generator = SeededRandom(seed: seed)
    var table = PendingTable<Step>()
    var model: [UInt64: Int?] = [:]
    var next: UInt64 = 1
    for step in 0..<10_000 {
      // Now thousands in flight, now a few: the ring grows, and is overtaken.
      let most = step / 2_000 % 2 == 0 ? 6_000 : 30
      switch Int.random(in: 0..<100, using: &generator) {
      case 0..<50 where model.count < most:
        // Pings and BINDs take ids as well.
        next += UInt64.random(in: 1...3, using: &generator)
        table.insert(next, Step(step), frameEnd: next * 10)
        model[next] = .some(step)
      case 50..<55:
        let id = UInt64.random(in: 1...next + 1_000, using: &generator)
        if let known = model[id], known != nil {
          table.abandon(id)
          model[id] = .some(nil)
        }
      case 55..<58: expectRemoved(UInt64.random(in: 0...next + 1_000, using: &generator), &table, &model)
      case 58:
        let limit = next - min(next, UInt64.random(in: 0...40, using: &generator))
        let above = table.removeAll(above: limit)
        let expected = model.filter { $0.key > limit }.sorted { $0.key < $1.key }
        model = model.filter { $0.key <= limit }
        #expect(above.map(\.frameEnd) == expected.filter { $0.value != nil }.map { $0.key * 10 })
        #expect(above.map(\.payload.number) == expected.compactMap(\.value))
      default:
        // A young one, so that old ones are overtaken, and the oldest now and then.
        let young = next - min(next, UInt64.random(in: 0...300, using: &generator))
        let isOld = Int.random(in: 0..<20, using: &generator) == 0
        expectRemoved(isOld ? model.keys.min() ?? young : young, &table, &model)
      }
      #expect(table.count == model.count)
    }
    let left = model.filter { $0.value != nil }.sorted { $0.key < $1.key }
    #expect(table.removeAll().map(\.payload.number) == left.compactMap(\.value))
    #expect(table.count == 0)
  }

  private func expectRemoved(
    _ id: UInt64, _ table: inout PendingTable<Step>, _ model: inout [UInt64: Int?]
  ) {
    let expected = model.removeValue(forKey: id)
    switch table.remove(id) {
    case .unknown: #expect(expected == nil)
    case .abandoned: #expect(expected == .some(nil))
    case .payload(let step): #expect(expected == .some(step.number))
    }
  }

  // MARK: Calls that wait

  private func expectSame(_ calls: [Call], _ expected: [Call]) {
    #expect(calls.map(ObjectIdentifier.init) == expected.map(ObjectIdentifier.init))
  }

  private static func call(_ route: Route) -> Call {
    Call(route: route, options: CallOptions(), now: 0)
  }

  private static func route(_ table: RouteTable, _ name: String) -> Route {
    guard let route = try? table.dynamic(name, server: nil, types: []) else { preconditionFailure() }
    return route
  }

  @Test("waiting calls: in their order, whichever is taken out of the middle", arguments: 1...12)
  func callQueue(seed: UInt64) {
    var generator = SeededRandom(seed: seed)
    let route = Self.route(RouteTable(), "a.b")
    var queue = CallQueue()
    var model: [Call] = []
    for _ in 0..<5_000 {
      switch Int.random(in: 0..<100, using: &generator) {
      case 0..<55:
        let call = Self.call(route)
        queue.append(call)
        model.append(call)
      case 55..<98:
        let first = queue.popFirst()
        #expect(first === model.first)
        if !model.isEmpty { model.removeFirst() }
      default:
        // Any share of them ends while it waits, and is taken out.
        let share = Double.random(in: 0...1, using: &generator)
        for call in model where Double.random(in: 0..<1, using: &generator) < share { call.phase = .done }
        let taken = queue.take { $0.phase == .done }
        expectSame(taken, model.filter { $0.phase == .done })
        model.removeAll { $0.phase == .done }
      }
      #expect(queue.count == model.count)
      #expect(queue.isEmpty == model.isEmpty)
      expectSame(Array(queue.elements), model)
    }
  }

  /// What a table of bindings is to know, told by names.
  private struct BindingModel {
    enum State: Hashable { case unbound, binding, bound(UInt32) }
    var states: [UInt64: State] = [:]
    var binds: [UInt64: UInt64] = [:]
    var first: [UInt64: [Call]] = [:]
    var later: [UInt64: [Call]] = [:]

    var waiting: [Call] { first.values.flatMap { $0 } + later.values.flatMap { $0 } }
  }

  @Test(
    "bindings: BINDs that succeed, fail, are given up, and whose procedure nobody calls any more",
    arguments: 1...12)
  func bindingTable(seed: UInt64) {
    var generator = SeededRandom(seed: seed)
    var routes = RouteTable()
    var table = BindingTable<Call>()
    var model = BindingModel()
    var nextID: UInt64 = 1
    for step in 0..<5_000 {
      // Routes are forgotten, and the indices of their bindings taken by others, while BINDs are on their way.
      if Int.random(in: 0..<40, using: &generator) == 0 { routes = RouteTable() }
      let route = Self.route(routes, "a.p\(Int.random(in: 0..<6, using: &generator))")
      let key = route.binding
      switch Int.random(in: 0..<12, using: &generator) {
      case 0..<6:
        let call = Self.call(route)
        switch table.state(of: key) {
        case .unbound:
          #expect(model.states[key.serial] ?? .unbound == .unbound)
          table.begin(key, [call], callID: nextID)
          model.states[key.serial] = .binding
          model.binds[nextID] = key.serial
          model.first[key.serial] = [call]
          nextID += 1
        case .binding:
          #expect(model.states[key.serial] == .binding)
          table.wait(call, for: key)
          model.later[key.serial, default: []].append(call)
        case .bound(let id, _): #expect(model.states[key.serial] == .bound(id))
        }
      case 6..<10:
        let id = model.binds.keys.sorted().randomElement(using: &generator) ?? nextID + 5
        let serial = model.binds.removeValue(forKey: id)
        let first = serial.flatMap { model.first.removeValue(forKey: $0) } ?? []
        let later = serial.flatMap { model.later.removeValue(forKey: $0) } ?? []
        if Bool.random(using: &generator) {
          let bound = Bound(procedureID: UInt32(step), arguments: [], returns: [], idempotent: false)
          let calls = table.succeeded(id, bound)
          #expect((calls == nil) == (serial == nil))
          expectSame(calls ?? [], first + later)
          if let serial { model.states[serial] = .bound(UInt32(step)) }
        } else {
          let calls = table.failed(id)
          #expect((calls == nil) == (serial == nil))
          expectSame(calls?.first ?? [], first)
          expectSame(calls?.later ?? [], later)
          if let serial { model.states[serial] = .unbound }
        }
      case 10 where Bool.random(using: &generator):
        table.forgetAll()
        for (serial, state) in model.states { if case .bound = state { model.states[serial] = .unbound } }
      case 10:
        table.forget(key)
        if case .bound = model.states[key.serial] { model.states[key.serial] = .unbound }
      default:
        let isTaken: (Call) -> Bool = { $0.route === route }
        let taken = Set(table.takeWaiting(where: isTaken).map(ObjectIdentifier.init))
        #expect(taken == Set(model.waiting.filter(isTaken).map(ObjectIdentifier.init)))
        for serial in model.first.keys { model.first[serial]?.removeAll(where: isTaken) }
        for serial in model.later.keys { model.later[serial]?.removeAll(where: isTaken) }
      }
      #expect(table.waitingCount == model.waiting.count)
      #expect(table.hasBindsInFlight == !model.binds.isEmpty)
      #expect(table.waitingCalls.count == model.waiting.count)
    }
  }

  // MARK: A whole client

  @Test("calls that end while they wait make room for others, however many there are")
  func endedWaitingCalls() async throws {
    let mayGreet = Latch()
    let server = try FakeServer { peer in
      mayGreet.wait()
      try peer.greet()
      try peer.serve { _ in "up" }
    }
    var options = ClientOptions()
    options.connectTimeout = .seconds(60)
    let client = RecoveryTests.client(server, options: options)
    // Twice as many as may wait, of which none stays.
    let handles = Lock<[CallHandle]>([])
    for _ in 0..<2 * ClientLimits.waitingCallsMax / 1024 {
      for _ in 0..<1024 {
        let handle = client.start("math.x", []) { (_: Result<CallResult, RPCError>) in }
        handles.withLock { $0.append(handle) }
      }
      for handle in handles.withLock({ $0 }) { handle.cancel() }
      handles.withLock { $0 = [] }
    }
    let call = Task { try await client.invoke("math.x", []) }
    mayGreet.signal()
    #expect(try await call.value.values == ["up"])
    await client.close()
  }
}
