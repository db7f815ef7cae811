package import HTTPTypes

/// Why bytes are not a request. The connection ends with it: where the next request begins cannot be told.
package struct HTTP1Violation: Error, Hashable {
  package var status: HTTPResponse.Status
  package var message: String
  /// What was measured and its limit, in bytes, where one was crossed.
  package var actual: Int?
  package var limit: Int?

  internal init(
    _ status: HTTPResponse.Status = .badRequest, _ message: String, actual: Int? = nil, limit: Int? = nil
  ) {
    self.status = status
    self.message = message
    self.actual = actual
    self.limit = limit
  }
}
