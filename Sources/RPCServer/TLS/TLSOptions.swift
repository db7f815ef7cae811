/// Whether and how a server speaks TLS 1.3.
public struct TLSOptions: Sendable {
  public enum Mode: String, Sendable, CaseIterable {
    /// A client that begins with TLS is told that there is none.
    case off
    /// Each client speaks as it likes.
    case offered
    /// A client that speaks plainly is told so, and gets nothing else.
    case required
  }

  /// A certificate, with those that lead to its authority behind it, and its private key, in files of PEM.
  public struct Files: Sendable, Hashable {
    public var certificate: String
    public var key: String

    public init(certificate: String, key: String) {
      self.certificate = certificate
      self.key = key
    }
  }

  public var mode = Mode.off
  /// The certificates that are shown, by the name that the client asks for; the first to clients that ask for none of
  /// their names. Without any the server makes its own, in the data directory.
  public var certificates: [Files] = []
  /// A file with the certificates, as PEM, of authorities that vouch for clients.
  public var clientAuthorities: String?

  /// Bytes of one file.
  public static let fileBytesMax = 1024 * 1024

  public init() {}
}
