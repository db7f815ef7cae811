internal import Glibc
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// What the HTTP connections of a loop share: the date, written once a second, and memory in which bodies are written
/// before it is known how long they are.
internal final class HTTPWorkbench {
  let values = LoopCell(ByteQueue())
  let body = LoopCell(ByteQueue())
  let knownHeads = LoopCell(HTTP1KnownHeads())
  private var second: Int64 = .min
  private var text: [UInt8] = []

  /// The field `date` of an answer (RFC 9110, section 5.6.7), its line end included.
  func appendDate(to output: inout ByteQueue) {
    let now = SystemClock.wallMilliseconds() / 1000
    if now != second {
      second = now
      text = Array("date: \(Self.date(now))\r\n".utf8)
    }
    output.append(text)
  }

  /// `Sun, 06 Nov 1994 08:49:37 GMT`
  static func date(_ seconds: Int64) -> String {
    var time = time_t(seconds)
    var parts = tm()
    gmtime_r(&time, &parts)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(days[Int(parts.tm_wday) % 7]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon) % 12]) "
      + "\(parts.tm_year + 1900) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
  }
}
