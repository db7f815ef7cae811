public import RPCClient
import RPCNetwork
public import RPCWire

/// A server reached by the ordinary client: the steps are calls of `system.deploy_*`.
public struct ClientPeer: DeploymentPeer {
  private let client: RPCClient
  private let server: String
  private let timeout: Duration

  /// - Parameter timeout: the longest that one step may take.
  public init(client: RPCClient, server: String, timeout: Duration) {
    self.client = client
    self.server = server
    self.timeout = timeout
  }

  public func status() async throws(RPCError) -> DeploymentStatus {
    let value = try await call("deploy_status")
    do throws(DeploymentError) {
      return try DeploymentStatus(value)
    } catch {
      throw error.rpcError
    }
  }

  public func catalogue() async throws(RPCError) -> DeployedCatalogue {
    let value = try await call("catalogue")
    do throws(DeploymentError) {
      return try DeployedCatalogue(value)
    } catch {
      throw error.rpcError
    }
  }

  public func begin(_ request: DeploymentRequest) async throws(RPCError) -> [String] {
    let value = try await call(
      "deploy_begin", .string(request.transaction), .string(request.who), .string(request.baseDigest),
      .bool(request.force), .bytes(request.manifest))
    guard let digests = value.listValue?.map(\.stringValue), !digests.contains(nil) else {
      throw Self.misunderstood("deploy_begin")
    }
    return digests.compactMap { $0 }
  }

  public func put(
    _ transaction: String, digest: String, offset: Int, bytes: [UInt8], last: Bool
  ) async throws(RPCError) -> Int {
    let value = try await call(
      "deploy_put", .string(transaction), .string(digest), .int(Int64(offset)), .bytes(bytes), .bool(last))
    guard let count = value.intValue else { throw Self.misunderstood("deploy_put") }
    return Int(count)
  }

  public func prepare(_ transaction: String) async throws(RPCError) -> [LoadFailure] {
    let value = try await call("deploy_prepare", .string(transaction))
    do throws(DeploymentError) {
      var failures: [LoadFailure] = []
      for failure in value["failures"]?.listValue ?? [] { failures.append(try LoadFailure(failure)) }
      return failures
    } catch {
      throw error.rpcError
    }
  }

  public func commit(_ transaction: String) async throws(RPCError) -> Int {
    guard let serial = try await call("deploy_commit", .string(transaction)).intValue else {
      throw Self.misunderstood("deploy_commit")
    }
    return Int(serial)
  }

  public func abort(_ transaction: String) async throws(RPCError) {
    _ = try await call("deploy_abort", .string(transaction))
  }

  public func unlock(who: String) async throws(RPCError) -> DeploymentStatus.Lock? {
    DeploymentStatus.Lock(try await call("deploy_unlock", .string(who)))
  }

  /// Calls a procedure of the service `system`; its one return value, or nothing.
  private func call(_ procedure: String, _ arguments: Value...) async throws(RPCError) -> Value {
    let result = try await client.invoke(
      "\(Names.reservedService).\(procedure)", arguments, on: server, options: .deadline(timeout))
    return result.values.first ?? .null
  }

  private static func misunderstood(_ procedure: String) -> RPCError {
    RPCError(.protocolError, "the server's answer to \(procedure) is not understood", executed: .yes)
  }
}
