import ArgumentParser
import RPCSettings

/// The flags that ask for something else than a server: they are no settings, and no file has them.
struct ActionArguments: ParsableArguments {
  @Flag(help: "Print what is in force, as a file, with where each value is from, and exit.")
  var printConfig = false

  @Flag(
    help:
      "Check the settings, the files they name, the address, Python and what isolates it, change nothing, and exit."
  )
  var check = false

  @Flag(
    help:
      "Print what clients pin of the server's certificate, which is made where there is none yet, and exit.")
  var printPin = false

  static let title = SettingTable.actions
}
