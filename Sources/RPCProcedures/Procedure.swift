package import RPCWire

/// A procedure as it was declared and deployed: everything but its running.
public struct Procedure: Hashable, Sendable {
  package var signature: Signature
  package var language: Language
  /// The function in the source: named like the procedure unless declared otherwise.
  @ComparedByUTF8 package var function: String
  /// SHA-256 of the source in lower-case hexadecimal; empty for a Swift closure.
  @ComparedByUTF8 package var digest: String
  /// The source file's last path component: what errors show instead of a path.
  @ComparedByUTF8 package var sourceName: String
  @ComparedByUTF8 package var documentation: String?
  /// The longest a call may run, whatever its caller allows, in milliseconds.
  package var timeoutMilliseconds: Int?
  /// The most memory a call may use, in bytes.
  package var memoryBytes: Int?
  /// Repeating a call is harmless: it may be retried although it may have been executed.
  package var idempotent: Bool
  /// What its file says of its form in gRPC.
  package var grpc = GRPCForm()
  /// What its service declares about its process.
  package var confinement = Confinement.standard

  package init(
    signature: Signature, language: Language, function: String? = nil, digest: String = "",
    sourceName: String = "", documentation: String? = nil, timeoutMilliseconds: Int? = nil,
    memoryBytes: Int? = nil, idempotent: Bool = false
  ) {
    self.signature = signature
    self.language = language
    self.function = function ?? signature.name
    self.digest = digest
    self.sourceName = sourceName
    self.documentation = documentation
    self.timeoutMilliseconds = timeoutMilliseconds
    self.memoryBytes = memoryBytes
    self.idempotent = idempotent
  }
}

/// What a file may say of a procedure's form in gRPC beyond its signature.
package struct GRPCForm: Hashable, Sendable {
  /// The method's name, where it is not the procedure's.
  @ComparedByUTF8 package var method: String?
  /// How many overloads of the same name are declared before it: the first one has the plain name.
  package var overload = 0
  /// Field numbers of the arguments, 0 for the position; empty where none is pinned.
  package var argumentFields: [Int] = []
  /// Field numbers of the return values.
  package var returnFields: [Int] = []

  package init() {}
}

/// A procedure with its source: what a runtime loads. Two procedures may share one source. It is an object, so
/// that a runtime finds what it made of it by identity and compares no strings on each call: a generation
/// keeps one for each procedure.
package final class SourceUnit: Sendable {
  package let procedure: Procedure
  package let source: [UInt8]

  package init(procedure: Procedure, source: [UInt8]) {
    self.procedure = procedure
    self.source = source
  }

  package var digest: String { procedure.digest }
}
