/// A text that is compared by its bytes: a key of a map, a name, whatever a peer sent.
///
/// Swift's `String` takes canonically equivalent texts for equal: `é` written as one scalar or as two, the kelvin
/// sign and `K`. No other side of this protocol does, so texts of peers are compared as `UTF8Key`, sorted as such
/// (by bytes), and are keys of dictionaries and members of sets as such.
public struct UTF8Key: Sendable {
  public let text: String

  @inlinable
  public init(_ text: String) { self.text = text }
}

extension UTF8Key: Hashable, Comparable {
  public static func == (left: UTF8Key, right: UTF8Key) -> Bool { left.text.hasSameUTF8(as: right.text) }

  public func hash(into hasher: inout Hasher) { text.hashUTF8(into: &hasher) }

  public static func < (left: UTF8Key, right: UTF8Key) -> Bool {
    left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
  }
}

extension UTF8Key: ExpressibleByStringLiteral, CustomStringConvertible {
  public init(stringLiteral text: String) { self.init(text) }
  public var description: String { text }
}

/// Text, and optionals and lists of text, that can be compared by its bytes.
public protocol UTF8Comparable {
  /// Whether both are the same bytes.
  func hasSameUTF8(as other: Self) -> Bool
  func hashUTF8(into hasher: inout Hasher)
}

extension String: UTF8Comparable {
  public func hasSameUTF8(as other: String) -> Bool {
    let count = utf8.count
    guard count == other.utf8.count else { return false }
    // Both are in one piece of memory unless they came from Objective-C, which Linux does not have.
    return unsafe utf8.withContiguousStorageIfAvailable { left in
      unsafe other.utf8.withContiguousStorageIfAvailable { unsafe left.elementsEqual($0) }
    }.flatMap { $0 } ?? utf8.elementsEqual(other.utf8)
  }

  public func hashUTF8(into hasher: inout Hasher) {
    var text = self
    text.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    // No text contains this byte, so that two texts in a row do not hash like two others cut elsewhere.
    hasher.combine(0xff as UInt8)
  }
}

extension Optional: UTF8Comparable where Wrapped: UTF8Comparable {
  public func hasSameUTF8(as other: Self) -> Bool {
    switch (self, other) {
    case (nil, nil): true
    case (let left?, let right?): left.hasSameUTF8(as: right)
    default: false
    }
  }

  public func hashUTF8(into hasher: inout Hasher) {
    hasher.combine(self != nil)
    self?.hashUTF8(into: &hasher)
  }
}

extension Array: UTF8Comparable where Element: UTF8Comparable {
  public func hasSameUTF8(as other: Self) -> Bool {
    count == other.count && zip(self, other).allSatisfy { $0.hasSameUTF8(as: $1) }
  }

  public func hashUTF8(into hasher: inout Hasher) {
    hasher.combine(count)
    for element in self { element.hashUTF8(into: &hasher) }
  }
}

/// Lets a struct that is `Hashable` by its fields compare this one by its bytes:
/// `@ComparedByUTF8 var name: String`.
@propertyWrapper
public struct ComparedByUTF8<Text: UTF8Comparable>: Hashable {
  public var wrappedValue: Text

  @inlinable
  public init(wrappedValue: Text) { self.wrappedValue = wrappedValue }

  public static func == (left: Self, right: Self) -> Bool {
    left.wrappedValue.hasSameUTF8(as: right.wrappedValue)
  }

  public func hash(into hasher: inout Hasher) { wrappedValue.hashUTF8(into: &hasher) }
}

extension ComparedByUTF8: Sendable where Text: Sendable {}
