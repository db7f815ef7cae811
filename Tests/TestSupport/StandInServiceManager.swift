import Glibc
import RPCSystem

/// Stands where systemd would: takes the datagrams that a service sends to `NOTIFY_SOCKET`, with the descriptors that
/// come along.
public final class StandInServiceManager: Sendable {
  public struct Message: Sendable {
    public var lines: [String]
    public var descriptors: [Int32]

    /// Behind `NAME=`.
    public func value(_ name: String) -> String? {
      lines.first { $0.hasPrefix("\(name)=") }.map { String($0.dropFirst(name.utf8.count + 1)) }
    }
  }

  public struct Failure: Error, CustomStringConvertible {
    public let description: String
  }

  /// As `NOTIFY_SOCKET` names it.
  public let address: String
  private let directory = TemporaryDirectory()
  private let socket: Int32

  /// - Parameters:
  ///   - isAbstract: whether its address is in no file system.
  ///   - seconds: how long a message may take that must come at once on any machine, however loaded.
  public init(isAbstract: Bool = false, seconds: Int = 60) throws {
    address = isAbstract ? "@rpc-test-\(getpid())-\(directory.path)" : "\(directory.path)/notify"
    socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var timeout = timeval(tv_sec: seconds, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(address.utf8)
    withUnsafeMutableBytes(of: &name.sun_path) { path in
      path.copyBytes(from: bytes)
      if isAbstract { path[0] = 0 }
    }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
    let bound = withUnsafePointer(to: &name) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, length) }
    }
    guard bound == 0 else {
      throw Failure(description: "bind \(address): \(String(cString: strerror(errno)))")
    }
  }

  deinit { close(socket) }

  /// The next message; waits for it.
  public func receive() throws -> Message {
    var bytes = [UInt8](repeating: 0, count: 8192)
    var control = [UInt64](repeating: 0, count: 32)
    var descriptors: [Int32] = []
    let count = bytes.withUnsafeMutableBytes { bytes in
      control.withUnsafeMutableBytes { control in
        var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
        return withUnsafeMutablePointer(to: &part) { part in
          var header = msghdr()
          header.msg_iov = part
          header.msg_iovlen = 1
          header.msg_control = control.baseAddress
          header.msg_controllen = control.count
          let count = recvmsg(socket, &header, Int32(MSG_CMSG_CLOEXEC))
          // One cmsghdr (its length, level and kind), then the descriptors.
          let start = MemoryLayout<cmsghdr>.size
          if count >= 0, header.msg_controllen > start {
            let length = Int(control.load(as: Int.self))
            for offset in stride(from: start, to: length, by: MemoryLayout<Int32>.size) {
              descriptors.append(control.load(fromByteOffset: offset, as: Int32.self))
            }
          }
          return count
        }
      }
    }
    guard count >= 0 else {
      throw Failure(description: "no message: \(String(cString: strerror(errno)))")
    }
    let text = String(decoding: bytes[..<count], as: UTF8.self)
    return Message(
      lines: text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init),
      descriptors: descriptors)
  }

  /// The next message that has this line; those before it are passed over.
  @discardableResult
  public func receive(_ line: String) throws -> Message {
    var passed: [[String]] = []
    do {
      while true {
        let message = try receive()
        if message.lines.contains(line) { return message }
        passed.append(message.lines)
      }
    } catch {
      throw Failure(description: "\(line) never came (\(error)), but \(passed)")
    }
  }

  /// Every message that is there already.
  public func takeAll() throws -> [Message] {
    var found: [Message] = []
    var byte: UInt8 = 0
    while recv(socket, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) >= 0 {
      found.append(try receive())
    }
    return found
  }
}
