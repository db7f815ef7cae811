internal import RPCSystem
internal import RPCTransport
package import RPCWire

/// A procedure as callers name it, with their types: what a connection binds once. Connections keep their
/// bindings in an array by `index`, so that a call needs no lookup; an index is reused only after its
/// owner is gone, and `serial` tells the two apart.
@usableFromInline
package final class BindingKey: Sendable {
  let service: String
  let procedure: String
  let argumentTypes: [ValueType]
  let returnTypes: [ValueType]?
  let index: Int
  let serial: UInt64

  private static let indices = Lock(Indices())
  private struct Indices {
    var free: [Int] = []
    var next = 0
    var serial: UInt64 = 0
  }

  package init(
    service: String, procedure: String, argumentTypes: [ValueType], returnTypes: [ValueType]?
  ) {
    self.service = service
    self.procedure = procedure
    self.argumentTypes = argumentTypes
    self.returnTypes = returnTypes
    (index, serial) = Self.indices.withLock { indices in
      indices.serial += 1
      if let index = indices.free.popLast() { return (index, indices.serial) }
      indices.next += 1
      return (indices.next - 1, indices.serial)
    }
  }

  deinit {
    let index = index
    Self.indices.withLock { $0.free.append(index) }
  }

  var name: String { "\(service).\(procedure)" }
}

/// A binding with where its calls go: to one server, or to any provider of the service.
@usableFromInline
internal final class Route: Sendable {
  let binding: BindingKey
  let server: String?
  /// The table it is from: a route is good for that table's client alone, on whose loop it keeps its ways.
  private let owner: ObjectIdentifier

  func belongs(to table: RouteTable) -> Bool { owner == ObjectIdentifier(table) }

  /// The channels that its calls may take, as of the core's `topologyVersion`. A route belongs to one core,
  /// and these to the thread of its loop.
  @exclusivity(unchecked) nonisolated(unsafe) var channels: ContiguousArray<ClientChannel> = []
  /// The one of `channels`, where there is no choice.
  @exclusivity(unchecked) nonisolated(unsafe) unowned(unsafe) var onlyChannel: ClientChannel?
  /// Where its last call went, and by which id: good for the next one too while the core's `epoch` is the
  /// same.
  @exclusivity(unchecked) nonisolated(unsafe) var shortcut: Unmanaged<ClientConnection>?
  @exclusivity(unchecked) nonisolated(unsafe) var shortcutEpoch: UInt64 = 0
  @exclusivity(unchecked) nonisolated(unsafe) var procedureID: UInt32 = 0
  @exclusivity(unchecked) nonisolated(unsafe) var isIdempotent = false
  @exclusivity(unchecked) nonisolated(unsafe) var channelsVersion: UInt64 = 0

  init(binding: BindingKey, server: String?, owner: RouteTable) {
    self.binding = binding
    self.server = server
    self.owner = ObjectIdentifier(owner)
  }

  var name: String { binding.name }
}

/// Remembers the routes of a client, so that calling by name builds nothing twice. Any thread.
internal final class RouteTable: Sendable {
  private struct TypedName: Hashable {
    @ComparedByUTF8 var procedure: String
    @ComparedByUTF8 var server: String?
    /// The Swift types of arguments and results, as one function type.
    var signature: ObjectIdentifier
  }

  private struct DynamicName: Hashable {
    @ComparedByUTF8 var procedure: String
    @ComparedByUTF8 var server: String?
    var argumentTypes: [ValueType]
  }

  private struct Tables {
    var typed: [TypedName: Route] = [:]
    var dynamic: [DynamicName: Route] = [:]
  }

  private let tables = Lock(Tables())

  /// The route of a typed call; `types` is asked the first time only.
  func typed(
    _ procedure: String, server: String?, signature: ObjectIdentifier,
    types: () -> (arguments: [ValueType], returns: [ValueType])
  ) throws(RPCError) -> Route {
    let name = TypedName(procedure: procedure, server: server, signature: signature)
    if let route = tables.withLock({ $0.typed[name] }) { return route }
    let (arguments, returns) = types()
    // A caller that asks for no results takes what comes.
    let binding = try Self.binding(procedure, arguments, returns: returns.isEmpty ? nil : returns)
    let route = Route(binding: binding, server: server, owner: self)
    tables.withLock { tables in
      if tables.typed.count >= ClientLimits.routesMax { tables.typed.removeAll() }
      tables.typed[name] = route
    }
    return route
  }

  /// The route of a call whose types are known at run time only.
  func dynamic(_ procedure: String, server: String?, types: [ValueType]) throws(RPCError) -> Route {
    let name = DynamicName(procedure: procedure, server: server, argumentTypes: types)
    if let route = tables.withLock({ $0.dynamic[name] }) { return route }
    let route = Route(
      binding: try Self.binding(procedure, types, returns: nil), server: server, owner: self)
    tables.withLock { tables in
      if tables.dynamic.count >= ClientLimits.routesMax { tables.dynamic.removeAll() }
      tables.dynamic[name] = route
    }
    return route
  }

  /// Breaks the ties to channels; on the loop's thread, at its end.
  func forgetChannels() {
    let routes = tables.withLock { Array($0.typed.values) + Array($0.dynamic.values) }
    for route in routes {
      route.onlyChannel = nil
      route.channels = []
    }
  }

  private static func binding(
    _ name: String, _ arguments: [ValueType], returns: [ValueType]?
  ) throws(RPCError) -> BindingKey {
    // A procedure is a function and has no dot in its name; a service may.
    let bytes = name.utf8
    guard let dot = bytes.lastIndex(of: UInt8(ascii: ".")), dot != bytes.startIndex,
      case let next = bytes.index(after: dot), next != bytes.endIndex
    else {
      throw RPCError(.invalidArguments, "'\(name.prefix(200))' names no procedure: write SERVICE.PROCEDURE")
    }
    let service = String(name[..<dot])
    let procedure = String(name[next...])
    for part in [service, procedure] where part.utf8.count > WireLimits.nameBytesMax {
      throw RPCError(
        .invalidArguments, "a name of \(part.utf8.count) bytes, the limit is \(WireLimits.nameBytesMax)",
        actual: part.utf8.count, limit: WireLimits.nameBytesMax, unit: .bytes)
    }
    for count in [arguments.count, returns?.count ?? 0] where count > WireLimits.arityMax {
      throw RPCError(
        .invalidArguments, "\(count) types, the limit is \(WireLimits.arityMax)",
        actual: count, limit: WireLimits.arityMax, unit: .types)
    }
    return BindingKey(service: service, procedure: procedure, argumentTypes: arguments, returnTypes: returns)
  }
}
