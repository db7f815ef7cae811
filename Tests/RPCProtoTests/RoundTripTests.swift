import RPCProto
import RPCWire
import TestSupport
import Testing

/// Values of random types, there and back.
@Suite("Random values in protobuf")
struct RoundTripTests {
  @Test("any values of any signature come back as they were", arguments: 0..<20 as Range<UInt64>)
  func roundTrip(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    for _ in 0..<200 {
      let types = (0..<Int.random(in: 0...6, using: &random)).map { _ in Self.type(&random, depth: 0) }
      let values = types.map { Self.value(of: $0, &random, depth: 0) }
      let form = message(types)
      let bytes = try form.bytes(values)
      #expect(try form.values(bytes) == values, "seed \(seed): \(types) \(values) as \(bytes)")
      // What is cut off anywhere is refused, or is a message that ends there.
      if let cut = bytes.indices.randomElement(using: &random) { _ = try? form.values(Array(bytes[..<cut])) }
    }
  }

  private static func type(_ random: inout SeededRandom, depth: Int) -> ValueType {
    switch Int.random(in: 0..<(depth > 2 ? 7 : 12), using: &random) {
    case 0: .int
    case 1: .float
    case 2: .string
    case 3: .bool
    case 4: .bytes
    case 5: .none
    case 6: .any
    case 7, 8: .list(type(&random, depth: depth + 1))
    case 9: .dict(type(&random, depth: depth + 1))
    default: .optional(type(&random, depth: depth + 1))
    }
  }

  private static func value(of type: ValueType, _ random: inout SeededRandom, depth: Int) -> Value {
    func count() -> Int { Int.random(in: 0...4, using: &random) }
    func text() -> String {
      (0..<count()).map { _ in ["a", "é", "\u{0}", "日"].randomElement(using: &random) ?? "" }.joined()
    }
    switch type {
    case .int:
      return .int(
        [0, 1, -1, .min, .max, Int64.random(in: -300...300, using: &random)].randomElement(using: &random)
          ?? 0)
    case .float: return .float([0, -0.0, 1.5, .infinity, -1e300].randomElement(using: &random) ?? 0)
    case .string: return .string(text())
    case .bool: return .bool(Bool.random(using: &random))
    case .bytes: return .bytes((0..<count()).map { _ in UInt8.random(in: 0...255, using: &random) })
    case .none: return .null
    case .any, .unknown:
      switch Int.random(in: 0..<(depth > 3 ? 5 : 7), using: &random) {
      case 0: return .null
      case 1: return .int(Int64.random(in: .min ... .max, using: &random))
      case 2: return .float(0.25)
      case 3: return .string(text())
      case 4: return .bytes([1, 2, 3])
      case 5: return .list((0..<count()).map { _ in value(of: .any, &random, depth: depth + 1) })
      default: return map(.any, &random, depth: depth)
      }
    case .list(let element):
      return .list((0..<count()).map { _ in value(of: element, &random, depth: depth + 1) })
    case .dict(let element): return map(element, &random, depth: depth)
    case .optional(let wrapped):
      return Bool.random(using: &random) ? .null : value(of: wrapped, &random, depth: depth)
    }
  }

  private static func map(_ element: ValueType, _ random: inout SeededRandom, depth: Int) -> Value {
    .map(
      (0..<Int.random(in: 0...3, using: &random)).map {
        Value.Entry("k\($0)", value(of: element, &random, depth: depth + 1))
      })
  }
}
