internal import RPCWire

/// The deployment that a server had in force last, whatever became of its generation: no deployment that is not above its
/// serial is taken, and nothing older is taken for what was committed last.
struct Fence: Hashable {
  var serial: Int
  /// The deployment's id.
  var id: String

  /// Before the first signed deployment is in force.
  static let beginning = Fence(serial: 0, id: String(repeating: "0", count: DeploymentID.digits))

  var text: String { "serial \(serial)\ndeployment \(id)\n" }

  init(serial: Int, id: String) {
    self.serial = serial
    self.id = id
  }

  init?(text: String) {
    let words = text.split(separator: "\n").flatMap { $0.split(separator: " ") }
    guard words.count == 4, words[0] == "serial", words[2] == "deployment", let serial = Int(words[1]),
      (0...DeploymentLimits.serialMax).contains(serial), DeploymentID.isValid(String(words[3]))
    else { return nil }
    self.init(serial: serial, id: String(words[3]))
    guard self.text.hasSameUTF8(as: text) else { return nil }
  }
}
