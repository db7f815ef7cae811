/// Finds the frames in a stretch of received bytes, in place. It keeps no bytes: what `next` does not
/// consume, the caller keeps and offers again with more behind it.
package struct FrameDecoder: Sendable {
  /// The largest payload accepted, in bytes.
  package var frameBytesLimit: Int

  package init(frameBytesLimit: Int = WireLimits.frameBytes) {
    self.frameBytesLimit = frameBytesLimit
  }

  /// The header of the frame at `offset` once its payload is there too, else nil. The payload stands at
  /// `offset + FrameHeader.byteCount`.
  ///
  /// - Throws: `WireError.frameTooLarge` or `.unknownFrameKind` as soon as the header says so, before the
  ///   payload has been waited for.
  @inlinable
  @inline(__always)
  package func next(in bytes: RawSpan, at offset: Int) throws(WireError) -> FrameHeader? {
    guard let header = FrameHeader(bytes, at: offset) else { return nil }
    guard Int(header.length) <= frameBytesLimit else {
      throw .frameTooLarge(actual: Int(header.length), limit: frameBytesLimit)
    }
    guard FrameKind.isKnown(header.kind) else { throw .unknownFrameKind(header.kind) }
    guard bytes.byteCount - offset - FrameHeader.byteCount >= Int(header.length) else { return nil }
    return header
  }

  /// How many bytes must be there, from `offset` on, for `next` to make progress: tells the connection how
  /// much to make room for. Call it after `next` returned nil.
  package func bytesNeeded(in bytes: RawSpan, at offset: Int) -> Int {
    guard let header = FrameHeader(bytes, at: offset) else { return FrameHeader.byteCount }
    return FrameHeader.byteCount + Int(header.length)
  }
}
