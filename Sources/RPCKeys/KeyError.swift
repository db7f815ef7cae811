/// Why a text or a file is not a key that can be used, and what would be.
public struct KeyError: Error, Hashable, Sendable, CustomStringConvertible {
  public let message: String

  public init(_ message: String) { self.message = message }

  public var description: String { message }
}
