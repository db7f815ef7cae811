/// What makes 32 bytes no public key, although a verifier computes with them: for a point of small order there are
/// signatures that hold for many statements, made without any private key, and a coordinate that is written in a
/// second way would be a second name of the same key.
enum CurvePoint {
  /// 2^255 − 19, least significant byte first, as coordinates are.
  private static let prime: [UInt8] = [0xed] + [UInt8](repeating: 0xff, count: 30) + [0x7f]

  /// The y coordinates of the eight points whose order divides 8; the sign of x, the highest bit, tells apart those
  /// with the same one.
  static let smallOrder: [[UInt8]] = [
    [UInt8](repeating: 0, count: 32),
    [1] + [UInt8](repeating: 0, count: 31),
    [
      0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
      0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
      0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
      0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    [0xec] + [UInt8](repeating: 0xff, count: 30) + [0x7f],
  ]

  /// Why these 32 bytes are not a public key; nil where they may be one.
  static func problem(with bytes: [UInt8]) -> String? {
    var coordinate = bytes
    coordinate[31] &= 0x7f
    // Below the prime: compared from the most significant byte on.
    if !coordinate.reversed().lexicographicallyPrecedes(prime.reversed()) {
      return "the public key is not in its canonical form, so it was not made by a key generator"
    }
    if smallOrder.contains(coordinate) {
      return "the public key is a point of small order: anybody can sign for it, so it proves nothing"
    }
    return nil
  }
}
