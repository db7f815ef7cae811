extension Disk {
  /// Puts bytes in the place of a file in one step, durably: a reader sees the old ones or the new ones.
  func replace(_ path: String, with bytes: [UInt8]) throws(DeploymentError) {
    let fresh = path + ".new"
    switch try kind(fresh) {
    case nil, .file: break
    default: try setAside(fresh)
    }
    try write(bytes, to: fresh, sync: true)
    try rename(fresh, to: path)
    try syncDirectory("")
  }
}
