internal import RPCKeys
internal import RPCWire

/// Decides whether a deployment may begin on this server: it is signed by who sends it, for this server, this network and
/// this content, and is newer than all that the server has seen. Pure.
struct Admission {
  /// This server's own key.
  var server: PublicKey
  /// Whom the request came from: the key that was proven.
  var caller: PublicKey?
  /// The network that the server belongs to, nil before its first signed deployment.
  var network: String?
  /// The highest serial that was seen.
  var highest: Int

  /// The request's statement, once it was found right.
  func admit(_ request: DeployBegin) throws(DeploymentError) -> SignedStatement {
    let signed = try SignedStatement(bytes: request.statement, signature: request.signature)
    let statement = signed.statement
    guard signed.origin.deployer == caller else {
      throw DeploymentError(
        .untrusted,
        "the deployment is signed by \(signed.origin.deployer.fingerprint), but "
          + (caller.map { "\($0.fingerprint) sent it" } ?? "nobody proved a key"))
    }
    guard statement.serverKey == server else {
      let meant = statement.serverKey.map { ", whose key is \($0.fingerprint)" } ?? ""
      throw DeploymentError(
        .misdirected,
        "the deployment is signed for the server '\(statement.server)'\(meant), and this server's key is "
          + server.fingerprint)
    }
    for (what, stated, found) in [
      ("manifest", statement.manifest, ContentDigest.hex(of: request.manifest)),
      ("topology", statement.topology, ContentDigest.hex(of: request.topology)),
    ] where stated != found {
      throw DeploymentError(
        .untrusted,
        "the \(what) is not the one that was signed: \(ContentDigest.short(found)), not "
          + ContentDigest.short(stated))
    }
    if let network, !network.hasSameUTF8(as: signed.origin.network), !request.force {
      throw DeploymentError(
        .misdirected,
        "the deployment is for the network '\(signed.origin.network)', and this server belongs to '\(network)' "
          + "(--force moves it)")
    }
    return signed
  }

  /// Refuses what was deployed before, or is older.
  func checkSerial(_ signed: SignedStatement) throws(DeploymentError) {
    guard signed.origin.serial > highest else {
      throw DeploymentError(
        .superseded,
        "the deployment has the serial \(signed.origin.serial), and this server has seen \(highest): plan again"
      )
    }
  }
}
