import RPCWire

extension Value {
  /// A text that is equal exactly where two values mean the same: the keys of a dictionary have no order, texts are
  /// compared byte by byte, and NaN is NaN.
  var comparable: UTF8Key { UTF8Key(ValueText.text(sortedByKey)) }

  private var sortedByKey: Value {
    switch self {
    case .list(let values): .list(values.map(\.sortedByKey))
    case .map(let entries):
      .map(
        entries.sorted { UTF8Key($0.key) < UTF8Key($1.key) }
          .map { Entry($0.key, $0.value.sortedByKey) })
    default: self
    }
  }
}
