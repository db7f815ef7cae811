internal import CLinux
internal import Glibc
internal import RPCKeys
internal import RPCNetwork
internal import RPCSystem
internal import RPCTLS
internal import RPCTransport

/// Reads what a server's TLS goes by from files, and makes those that the server has of its own.
internal struct TLSFiles {
  var options: TLSOptions
  var dataDirectory: String?
  /// The address that is listened on.
  var address: SocketAddress

  /// - Throws: `KeyError` with the file and what is wrong with it.
  func identities() throws(KeyError) -> [TLSIdentity] {
    guard options.certificates.isEmpty else {
      var identities: [TLSIdentity] = []
      for files in options.certificates {
        identities.append(try TLSIdentity(certificate: files.certificate, key: files.key))
      }
      return identities
    }
    guard let dataDirectory else {
      throw KeyError("TLS needs a certificate and its key, or a data directory to make and keep them in")
    }
    return [try own(in: dataDirectory)]
  }

  /// Whether `identities` makes nothing.
  var areThere: Bool {
    guard options.certificates.isEmpty, let dataDirectory else { return true }
    let own = Self.own(in: dataDirectory)
    return access(own.key, F_OK) == 0 && access(own.certificate, F_OK) == 0
  }

  private static func own(in directory: String) -> TLSOptions.Files {
    TLSOptions.Files(certificate: "\(directory)/tls-certificate.pem", key: "\(directory)/tls-key.pem")
  }

  func authorities() throws(KeyError) -> [UInt8]? {
    guard let path = options.clientAuthorities else { return nil }
    let bytes = try TLSIdentity.read(path)
    guard String(decoding: bytes, as: UTF8.self).contains("CERTIFICATE-----") else {
      throw KeyError(
        "'\(path)' holds no certificate of an authority in PEM ('-----BEGIN CERTIFICATE-----')")
    }
    return bytes
  }

  // MARK: The server's own

  /// The key is made once, since clients pin it; the certificate around it again where it is missing.
  private func own(in directory: String) throws(KeyError) -> TLSIdentity {
    let files = Self.own(in: directory)
    do {
      try Self.makeFolder(directory)
      if access(files.key, F_OK) != 0, errno == ENOENT {
        try KeyFile.make(files.key, try TLSIdentity.makeKey(), mode: 0o600)
      }
      if access(files.certificate, F_OK) != 0, errno == ENOENT {
        let key = try TLSIdentity.read(files.key, isSecret: true)
        let chain = try TLSIdentity.makeCertificate(
          key: key, name: "SimpleRPC", addresses: addresses, hosts: hosts)
        try KeyFile.make(files.certificate, chain, mode: 0o644)
      }
    } catch {
      throw KeyError("cannot make the server's certificate: \(error)")
    }
    return try TLSIdentity(certificate: files.certificate, key: files.key)
  }

  private static func makeFolder(_ path: String) throws(KeyError) {
    var made = ""
    for part in path.split(separator: "/", omittingEmptySubsequences: false) {
      made += part + "/"
      guard mkdir(made, 0o700) == 0 || errno == EEXIST || access(made, X_OK) == 0 else {
        throw KeyError("cannot make \(made): \(String(cString: strerror(errno)))")
      }
    }
  }

  /// What the certificate is for, where a client asks for a name: the pin counts without.
  private var addresses: [String] {
    let isWildcard = address.ipBytes.allSatisfy { $0 == 0 }
    return ["127.0.0.1", "::1"] + (isWildcard || address.isLoopback ? [] : [address.ip])
  }

  private var hosts: [String] {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return ["localhost"] }
    let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return HostName.isValid(name) && name != "localhost" ? ["localhost", name] : ["localhost"]
  }
}
