/// Why a test cannot go on, with what was there instead of what was awaited.
struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
