internal import RPCWire

/// Makes a zip archive of files as they are, without compression: Python imports modules from one.
package struct ZipArchive: ~Copyable {
  private var files = ByteQueue()
  private var directory = ByteQueue()
  private var count: UInt16 = 0

  package init() {}

  package mutating func add(_ name: String, _ bytes: [UInt8]) {
    let offset = UInt32(files.count)
    files.append(littleEndian: UInt32(0x0403_4b50))
    Self.appendDescription(of: name, bytes, to: &files)
    files.append(Array(name.utf8))
    files.append(bytes)
    directory.append(littleEndian: UInt32(0x0201_4b50))
    directory.append(littleEndian: Self.version)
    Self.appendDescription(of: name, bytes, to: &directory)
    // No comment, the first volume, no attributes.
    for _ in 0..<3 { directory.append(littleEndian: UInt16(0)) }
    directory.append(littleEndian: UInt32(0))
    directory.append(littleEndian: offset)
    directory.append(Array(name.utf8))
    count += 1
  }

  /// The archive with its directory, which comes last.
  package var bytes: [UInt8] {
    var end = ByteQueue()
    end.append(littleEndian: UInt32(0x0605_4b50))
    end.append(littleEndian: UInt32(0))
    end.append(littleEndian: count)
    end.append(littleEndian: count)
    end.append(littleEndian: UInt32(directory.count))
    end.append(littleEndian: UInt32(files.count))
    end.append(littleEndian: UInt16(0))
    return files.copy() + directory.copy() + end.copy()
  }

  /// 1.0: files that are stored.
  private static let version: UInt16 = 10
  /// 1 January 1980, the first day there is.
  private static let date: UInt16 = 1 << 5 | 1

  private static func appendDescription(of name: String, _ bytes: [UInt8], to queue: inout ByteQueue) {
    queue.append(littleEndian: version)
    // No flags, stored, midnight.
    for _ in 0..<3 { queue.append(littleEndian: UInt16(0)) }
    queue.append(littleEndian: date)
    queue.append(littleEndian: checksum(bytes))
    queue.append(littleEndian: UInt32(bytes.count))
    queue.append(littleEndian: UInt32(bytes.count))
    queue.append(littleEndian: UInt16(name.utf8.count))
    queue.append(littleEndian: UInt16(0))
  }

  /// CRC-32 as zip has it.
  package static func checksum(_ bytes: [UInt8]) -> UInt32 {
    var checksum = UInt32.max
    for byte in bytes {
      checksum = checksum >> 8 ^ table[Int(UInt8(truncatingIfNeeded: checksum) ^ byte)]
    }
    return ~checksum
  }

  private static let table = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { rest, _ in rest >> 1 ^ (rest & 1 == 0 ? 0 : 0xedb8_8320) }
  }
}
