import Foundation
import TestSupport

/// A program with a network of its own, joined to the tests' by one cable that can be cut: what is sent then is lost,
/// and neither side gets a FIN or a reset.
///
/// The network lives as long as the program, and the cable as long as the network: nothing is left behind, however
/// the tests end.
final class SeparateHost {
  /// The addresses of the two ends of the cable.
  let near: String
  let far: String
  let program: ChildProcess

  /// Whether this user may make networks. It takes root, and a kernel with veth.
  static let isPermitted: Bool = {
    let name = "rpcprobe\(getpid() % 100_000)"
    guard
      let made = try? run("unshare", ["--net", "ip", "link", "add", "rpcprobe", "type", "veth"]),
      made.ending == .code(0),
      let here = try? run("ip", ["link", "add", name, "type", "veth"]), here.ending == .code(0)
    else { return false }
    _ = try? run("ip", ["link", "delete", name])
    return true
  }()

  /// - Parameter number: tells those of one run apart: 0 to 63.
  /// - Parameter command: the program and its arguments, given the addresses `near` and `far`.
  init(_ number: Int, _ command: (_ near: String, _ far: String) -> [String]) throws {
    // From the block that is set aside for tests of networks (RFC 2544).
    let network = "198.18.\(getpid() % 256)"
    near = "\(network).\(number * 4 + 1)"
    far = "\(network).\(number * 4 + 2)"
    // It waits for its cable before it becomes the program.
    let script = "ip link set lo up && echo ready && read -r _ && exec \"$@\" < /dev/null"
    program = try ChildProcess(
      "unshare", ["--net", "sh", "-c", script, "sh"] + command(near, far), input: .pipe)
    do {
      try program.waitForLine("ready")
      let end = "rpc\(getpid() % 1_000_000)x\(number)"
      try Self.ip(["link", "add", end, "type", "veth", "peer", "name", "cable", "netns", "\(program.pid)"])
      try Self.ip(["address", "add", "\(near)/30", "dev", end])
      try Self.ip(["link", "set", end, "up"])
      try inside(["address", "add", "\(far)/30", "dev", "cable"])
      try restore()
      program.send("go\n")
    } catch {
      program.killAtOnce()
      throw error
    }
  }

  deinit { program.killAtOnce() }

  func cut() throws { try inside(["link", "set", "cable", "down"]) }
  func restore() throws { try inside(["link", "set", "cable", "up"]) }

  private static func ip(_ arguments: [String], by words: [String] = []) throws {
    let command = words + ["ip"] + arguments
    let outcome = try run(command[0], Array(command[1...]))
    guard outcome.ending == .code(0) else {
      throw Failure("\(command.joined(separator: " ")): \(outcome)")
    }
  }

  private func inside(_ arguments: [String]) throws {
    try Self.ip(arguments, by: ["nsenter", "--net=/proc/\(program.pid)/ns/net"])
  }
}
