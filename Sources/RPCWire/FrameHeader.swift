/// The kinds of frame. Numbers are part of the protocol and never reused.
@usableFromInline package enum FrameKind: UInt8, Sendable, CaseIterable {
  case hello = 1
  case bind = 2
  case bound = 3
  case call = 4
  case reply = 5
  case error = 6
  case cancel = 7
  case ping = 8
  case pong = 9
  case goAway = 10
  /// Tells every client that a new generation of procedures is in force.
  case generation = 11
  /// Client: proves that it has a key. Server, empty: it did.
  case proof = 12

  /// Whether a frame's kind is of this version: kinds are numbered without gaps.
  @inlinable
  package static func isKnown(_ kind: UInt8) -> Bool { kind > 0 && kind <= proof.rawValue }

  /// As documents and messages write it: `GOAWAY`.
  package var name: String { "\(self)".uppercased() }
}

/// The fixed 16 bytes before each frame's payload, little-endian:
/// `length u32 | kind u8 | flags u8 | status u16 | call id u64`.
@usableFromInline package struct FrameHeader: Hashable, Sendable {
  @usableFromInline package static let byteCount = 16

  /// Flags of a CALL.
  @usableFromInline package struct Flags: OptionSet, Hashable, Sendable {
    @usableFromInline package let rawValue: UInt8
    @usableFromInline package init(rawValue: UInt8) { self.rawValue = rawValue }
    /// A map of metadata stands before the arguments.
    package static let metadata = Flags(rawValue: 1)
    /// 26 bytes of W3C trace context stand before the metadata.
    package static let trace = Flags(rawValue: 2)
    /// A retry: this call was sent before and may have been executed.
    package static let retry = Flags(rawValue: 4)
    /// Every flag of this version; a peer that sets another one breaks the protocol.
    package static let known: Flags = [.metadata, .trace, .retry]
  }

  /// Bytes of the payload, the header not counted.
  @usableFromInline package var length: UInt32
  @usableFromInline package var kind: UInt8
  @usableFromInline package var flags: Flags
  @usableFromInline package var status: UInt16
  @usableFromInline package var callID: UInt64

  @inlinable
  package init(length: UInt32, kind: UInt8, flags: Flags = [], status: UInt16 = 0, callID: UInt64 = 0) {
    self.length = length
    self.kind = kind
    self.flags = flags
    self.status = status
    self.callID = callID
  }

  /// Reads a header at `offset`, or nil when fewer than 16 bytes are there.
  @inlinable
  package init?(_ bytes: RawSpan, at offset: Int) {
    guard bytes.byteCount - offset >= FrameHeader.byteCount else { return nil }
    let low = unsafe UInt64(
      littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    length = UInt32(truncatingIfNeeded: low)
    kind = UInt8(truncatingIfNeeded: low >> 32)
    flags = Flags(rawValue: UInt8(truncatingIfNeeded: low >> 40))
    status = UInt16(truncatingIfNeeded: low >> 48)
    callID = unsafe UInt64(
      littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
  }
}

extension ByteQueue {
  /// Starts a frame: its length is filled in by `endFrame`. Returns where it starts.
  @inlinable
  @inline(__always)
  package mutating func beginFrame(
    _ kind: FrameKind, flags: FrameHeader.Flags = [], status: StatusCode = .ok, callID: UInt64
  ) -> Int {
    let mark = count
    reserve(FrameHeader.byteCount)
    append(
      littleEndian: UInt64(kind.rawValue) << 32 | UInt64(flags.rawValue) << 40
        | UInt64(status.rawValue) << 48)
    append(littleEndian: callID)
    return mark
  }

  /// Ends the frame that starts at `mark`.
  @inlinable
  @inline(__always)
  package mutating func endFrame(_ mark: Int) {
    patch(littleEndian: UInt32(count - mark - FrameHeader.byteCount), at: mark)
  }
}
