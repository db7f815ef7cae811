import Glibc
import RPCProcedures
import RPCProto
import RPCSystem
import RPCWire

/// The .proto files of an init.yaml, in a directory.
package enum ProtoFolder {
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  /// Name and text of each file, two for each service that has procedures.
  package static func files(of file: InitFile) -> [(name: String, text: String)] {
    var order: [UTF8Key] = []
    var services: [UTF8Key: [Procedure]] = [:]
    for procedure in file.procedures {
      let key = UTF8Key(procedure.signature.service)
      if services[key] == nil { order.append(key) }
      services[key, default: []].append(procedure)
    }
    return order.flatMap { key in
      ProtoFiles(of: ProtoService(service: key.text, procedures: services[key] ?? [])).texts()
    }
  }

  /// Writes them; returns their paths.
  package static func write(_ file: InitFile, to directory: String) throws(Failure) -> [String] {
    guard mkdir(directory, 0o777) == 0 || errno == EEXIST else {
      throw Failure(description: "cannot make '\(directory)': \(SystemError.last("mkdir"))")
    }
    var paths: [String] = []
    for (name, text) in files(of: file) {
      let path = "\(directory)/\(name)"
      do throws(SystemError) {
        try write(Array(text.utf8), to: path)
      } catch {
        throw Failure(description: "cannot write '\(path)': \(error)")
      }
      paths.append(path)
    }
    return paths
  }

  private static func write(_ bytes: [UInt8], to path: String) throws(SystemError) {
    let raw = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard raw >= 0 else { throw SystemError.last("open") }
    let descriptor = Descriptor(raw)
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor.raw, $0.baseAddress, $0.count) }
      guard count > 0 else {
        if errno == EINTR { continue }
        throw SystemError.last("write")
      }
      rest = rest.dropFirst(count)
    }
  }
}
