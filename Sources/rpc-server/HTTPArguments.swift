import ArgumentParser
import RPCServer

/// The flags of what is spoken over HTTP.
struct HTTPArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A name of this server that requests over HTTP may have as their Host, besides its addresses, localhost, its name in init.yaml and those in its certificate; may be given several times.",
      valueName: "name"))
  var allowHost: [String] = []

  @Option(
    help: ArgumentHelp(
      "An origin such as https://example.org whose pages may call over HTTP; may be given several times.",
      valueName: "origin"))
  var allowOrigin: [String] = []

  @Flag(help: "Take calls of idempotent procedures with GET from all who may call, not with a token alone.")
  var allowGet = false

  func validate() throws {
    for host in allowHost where !ServerOptions.isHost(host) {
      throw ValidationError("--allow-host is a host name without a port, not '\(host)'")
    }
    for origin in allowOrigin where !ServerOptions.isOrigin(origin) {
      throw ValidationError("--allow-origin is an origin such as https://example.org, not '\(origin)'")
    }
  }

  func apply(to options: inout ServerOptions) {
    options.allowedHosts = allowHost
    options.allowedOrigins = allowOrigin
    options.allowsGet = allowGet
  }
}
