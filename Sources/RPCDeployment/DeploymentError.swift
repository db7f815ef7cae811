package import RPCWire

/// Why a manifest, a store or a deployment refused: what is wrong and, where there is something to do, what.
package struct DeploymentError: Error, Hashable, Sendable {
  package enum Kind: Sendable, Hashable {
    /// Another deployment holds the lock.
    case locked
    /// The server has another generation than the plan was made against.
    case stale
    /// No such transaction here, or no longer: it expired, was aborted, or the server started again.
    case unknownTransaction
    /// A step out of order, such as a commit of what was not prepared.
    case outOfOrder
    /// Not signed by whom it should be.
    case untrusted
    /// Signed for another server or network.
    case misdirected
    /// Its serial is not above what was seen.
    case superseded
    /// Bytes that are not a manifest, or whose digest is another than announced.
    case malformed
    /// A bound was crossed.
    case tooLarge
    /// What is on disk is not what was written.
    case damaged
    /// A later release wrote what is on disk.
    case newer
    /// The operating system refused.
    case io
  }

  package var kind: Kind
  package var message: String
  /// What the operating system said, nil where the error is none of its.
  package var errno: Int32?

  package init(_ kind: Kind, _ message: String, errno: Int32? = nil) {
    self.kind = kind
    self.message = message
    self.errno = errno
  }

  /// As the caller of a `system.deploy_*` procedure is told.
  package var rpcError: RPCError {
    switch kind {
    // A disk that fails has ended the deployment: a client that repeated the step would be told of that alone.
    case .locked, .stale, .unknownTransaction, .outOfOrder, .damaged, .newer, .io, .misdirected, .superseded:
      RPCError(.failedPrecondition, message)
    case .untrusted: RPCError(.unauthenticated, message)
    case .malformed: RPCError(.invalidArguments, message)
    case .tooLarge: RPCError(.resourceExhausted, message)
    }
  }
}

extension DeploymentError: CustomStringConvertible {
  package var description: String { message }
}
