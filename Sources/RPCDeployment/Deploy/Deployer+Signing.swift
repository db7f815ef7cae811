import RPCKeys
import RPCNetwork
import RPCSystem
import RPCWire

extension Deployer {
  /// Signs for each server what it is to be. The serial is one above the highest that any server which answers has seen.
  func sign(_ steps: inout [Step]) async {
    guard let key = options.key else {
      for index in steps.indices where steps[index].isPending {
        steps[index].fail(
          RPCError(.unauthenticated, "a deployment is signed, and there is no key to sign with (--key)"))
      }
      return
    }
    let highest = believe(await serialsOfWitnesses(), &steps)
    let id =
      options.id
      ?? DeploymentID.of(
        network: options.network, topology: targets.first?.content.topology ?? Topology(servers: []),
        manifests: targets.map(\.content.manifest))
    let origin = DeploymentOrigin(
      id: id, serial: highest + 1, network: options.network, deployer: key.publicKey, who: options.who,
      timeMilliseconds: Int(SystemClock.wallMilliseconds()), message: options.message,
      isRehearsal: options.mode == .rehearse)
    for index in steps.indices where steps[index].isPending {
      guard let serverKey = steps[index].found?.key else {
        steps[index].fail(
          RPCError(.failedPrecondition, "the server has proven no key, for which a deployment is signed"))
        continue
      }
      let content = steps[index].target.content
      steps[index].signed = SignedStatement(
        DeploymentStatement(
          server: content.manifest.server, serverKey: serverKey, manifest: content.manifest.digest,
          topology: content.topology.digest, origin: origin), by: key)
    }
  }

  private func serialsOfWitnesses() async -> [Int] {
    await withTaskGroup(of: Int.self) { group in
      for witness in witnesses {
        group.addTask { (try? await witness.status())?.highestSerial ?? 0 }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
  }

  /// The highest serial of all that servers say they have seen. One server cannot use up the numbers of all: where it is
  /// far ahead of the others, nothing is deployed to it, unless that is forced.
  private func believe(_ witnesses: [Int], _ steps: inout [Step]) -> Int {
    let said = witnesses + steps.map { $0.found?.status.highestSerial ?? 0 }
    let highest = Self.highestSerial(of: said, isForced: options.force)
    for index in steps.indices where steps[index].isPending {
      let serial = steps[index].found?.status.highestSerial ?? 0
      guard serial > highest else { continue }
      steps[index].fail(
        RPCError(
          .failedPrecondition,
          "the server has seen the serial \(serial), far above the \(highest) of the others: somebody answers in "
            + "its place, or its data directory was changed"
            + (serial < DeploymentLimits.serialMax ? " (--force goes on from there)" : "")))
    }
    return highest
  }

  /// The highest of the serials that is not too far above all below it.
  static func highestSerial(of said: [Int], isForced: Bool) -> Int {
    var highest = 0
    for serial in said.sorted() where serial > 0 && serial < DeploymentLimits.serialMax {
      let isFar = highest > 0 && serial - highest > DeploymentLimits.serialStepMax
      if isFar, !isForced { break }
      highest = serial
    }
    return highest
  }
}
