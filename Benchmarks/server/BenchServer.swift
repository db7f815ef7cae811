import Glibc
import RPCServer
import RPCWire

/// The server that the benchmarks load: Swift closures on the fast path, all features on.
///
/// `bench-server IP PORT [LOOPS] [BUSY-POLL-MICROSECONDS] [LOG-FILE] [CERTIFICATE KEY]`: with the last two, files of PEM,
/// it speaks TLS only.
@main
enum BenchServer {
  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count >= 3, let port = Int(arguments[2]) else {
      print("usage: bench-server IP PORT [LOOPS] [BUSY-POLL-MICROSECONDS] [LOG-FILE] [CERTIFICATE KEY]")
      exit(2)
    }
    var options = ServerOptions()
    options.loops = arguments.count > 3 ? Int(arguments[3]) ?? 1 : 1
    options.busyPollMicroseconds = arguments.count > 4 ? Int(arguments[4]) ?? 0 : 0
    // Every execution is logged, as by rpc-server.
    options.log = LogOptions(level: .info, file: arguments.count > 5 ? arguments[5] : "/dev/null")
    if arguments.count > 7 {
      options.tls.mode = .required
      options.tls.certificates = [TLSOptions.Files(certificate: arguments[6], key: arguments[7])]
    }
    let server = try Server(
      host: arguments[1], port: port,
      procedures: [
        NativeProcedure("math.add", idempotent: true) { (a: Int, b: Int) -> Int in a &+ b },
        NativeProcedure("any.echo", idempotent: true) { (value: Value) -> Value in value },
        NativeProcedure("math.echo", idempotent: true) { (bytes: Bytes) -> Bytes in bytes },
      ], options: options)
    try server.start()
    print("listening on \(server.localAddress)")
    fflush(nil)
    server.waitUntilStopped()
  }
}
