/// The bounds of reading protobuf messages.
package enum ProtoLimits {
  /// Lists of one message whose parts may alternate over all of it.
  package static let interleavingMax = 8
  /// The highest number that a field may have: what protobuf allows.
  package static let fieldNumberMax = 536_870_911
}
