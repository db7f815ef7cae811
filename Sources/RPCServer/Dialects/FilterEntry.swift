internal import RPCTransport
internal import RPCWire

/// A filter that connections may ask for with their first bytes, as TLS does with `16 03`.
internal struct FilterEntry: Sendable {
  /// Whether a connection that begins with these bytes, at least one, speaks through this filter.
  var recognise: @Sendable (_ first: RawSpan) -> Recognition
  /// Makes the filter of one connection; nil where there is no memory for it.
  var make: @Sendable () -> (any ByteFilter)?
}
