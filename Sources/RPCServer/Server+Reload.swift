internal import RPCKeys

/// What a program's settings have become, when it is told to read them again.
package enum ServerReload {
  /// There are none to read, or they say the same.
  case unchanged
  /// What they say now, and a line for each that takes a restart.
  case changed(ServerOptions, waiting: [String])
  /// Why they cannot be read: all stays as it is.
  case refused(String)
}

extension Server {
  /// Opens the log file again, after it was moved away, and reads the certificates, the secrets and the deployers' keys again.
  /// Where those cannot be read the ones from before stay, and the log tells why.
  public func reload() { reload(.unchanged) }

  /// As `reload`, with what a running server can take over of its settings: the log's level and file, the files of
  /// certificates and of deployers, hosts, origins and GET over HTTP, the number of connections, the time to drain.
  package func reload(_ settings: ServerReload) {
    var options = core.options
    switch settings {
    case .unchanged: core.log.reopen()
    case .refused(let reason):
      core.log.reopen()
      core.log.warn("the settings stay as they were: \(reason)")
    case .changed(let fresh, let waiting):
      options = fresh
      core.adopt(fresh)
      for line in waiting { core.log.warn(line) }
    }
    do {
      for pin in try core.tls.load(changed(settings) ? options.tls : nil) {
        core.log.note("the certificate is read again: \(pin)")
      }
      core.certificatesChanged()
    } catch {
      core.log.warn("the certificates stay as they were: \(error)")
    }
    do {
      if let secrets = try loadSecrets() {
        // Told once it holds.
        core.onEveryLoop(
          { $0.secretsChanged() }, completion: { [core] in core.log.note("secrets read: \(secrets)") })
      }
    } catch {
      core.log.warn("the secrets stay as they were: \(error)")
    }
    do {
      let count =
        changed(settings) ? try core.deployers.load(from: options.deployersFile) : try core.deployers.load()
      guard let count else { return }
      core.log.note("the deployers' keys are read again: \(count)")
      core.deployments?.deployersChanged()
    } catch {
      core.log.warn("the deployers' keys stay as they were: \(error)")
    }
  }

  private func changed(_ settings: ServerReload) -> Bool {
    if case .changed = settings { true } else { false }
  }
}

extension ServerCore {
  /// Takes over what can change while a server runs.
  fileprivate func adopt(_ options: ServerOptions) {
    log.update(options.log)
    setAccess(hosts: options.allowedHosts, origins: options.allowedOrigins)
    setConnectionsMax(options.connections)
    let log = log
    onEveryLoop { host in
      host.adopt(allowsGet: options.allowsGet, drainTimeoutMilliseconds: options.drainTimeoutMilliseconds)
      host.log.setLevel(log.level)
    }
  }
}
