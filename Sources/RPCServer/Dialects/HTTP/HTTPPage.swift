internal import HTTPTypes
internal import RPCTransport
internal import RPCWire

/// A page of the server's own, over any version of HTTP.
internal enum HTTPPage: String, CaseIterable {
  case about = "/"
  case health = "/healthz"
  case metrics = "/metrics"

  /// What the server says of itself; nil for `metrics`, which is counted first.
  func answer(_ host: ServerLoop) -> (head: AnswerHead, text: String)? {
    switch self {
    case .health:
      let health = host.health
      return (
        AnswerHead(health.isServing ? .ok : .serviceUnavailable, "application/json"),
        Value.map(health.fields).json + "\n"
      )
    case .about:
      return (
        AnswerHead(.ok, "text/plain; charset=utf-8"),
        """
        \(host.agent)\(host.core.serverName.map { " (\($0))" } ?? "")

        POST /SERVICE/PROCEDURE   calls a procedure: a JSON object of arguments by name, or a list of them
        GET  /healthz             whether this server serves
        GET  /metrics             what it counts, for Prometheus

        curl -d '{}' -H 'content-type: application/json' http://ADDRESS/system/catalogue lists the procedures.

        """
      )
    case .metrics: return nil
    }
  }
}
