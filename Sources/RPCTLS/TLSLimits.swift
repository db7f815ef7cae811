/// The bounds of TLS.
package enum TLSLimits {
  /// Bytes that a connection counts for in the server's memory while its handshake is under way.
  package static let handshakeBytes = 48 * 1024
  /// Bytes that it counts for afterwards.
  package static let connectionBytes = 20 * 1024
  /// Bytes that one filter encrypts at once: what follows waits until these have left.
  package static let wireBytesMax = 256 * 1024
  /// The names of one certificate that are looked at.
  package static let namesMax = 100
  /// Bytes of one of them.
  package static let nameBytesMax = 255
  /// Pins and authorities whose contexts a client keeps for later connections.
  package static let contextsMax = 64
  /// Servers whose last session a client keeps of each of them, to resume it.
  package static let sessionsMax = 1024
  /// Bytes of a file with a certificate, a key or authorities.
  package static let fileBytesMax = 1024 * 1024
  /// How long one key seals session tickets, in nanoseconds: 6 h; it opens them for as long again.
  package static let ticketKeyNanoseconds: UInt64 = 21_600_000_000_000
}
