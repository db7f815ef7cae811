import Foundation
import TestSupport
import Testing

/// A page of somebody else's in a real browser, against a server on this machine: what browsers let pages send is what
/// browsers do, not what a test believes of them.
@Suite("A browser", .serialized)
struct BrowserTests {
  /// Debian's Chromium without a window.
  static let browser = ["chromium-headless-shell", "chromium"].map { "/usr/bin/\($0)" }
    .first { FileManager.default.isExecutableFile(atPath: $0) }

  /// Where tests are told to be complete it must be there.
  static let isExpected = browser != nil || ProcessInfo.processInfo.environment["CI"] != nil

  /// Runs the browser until it ends, or until `isDone`.
  private static func visit(_ url: String, _ directory: TemporaryDirectory) throws -> ChildProcess {
    guard let browser else {
      throw Failure("there is no Chromium: Scripts/setup --tests installs chromium-headless-shell")
    }
    return try ChildProcess(
      browser,
      [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--user-data-dir=\(directory.path)/browser",
        "--host-resolver-rules=MAP *.example 127.0.0.1", "--remote-debugging-port=0", url,
      ])
  }

  private static func callsOfMark(_ network: Network) throws -> Int {
    let page = try run("/usr/bin/curl", ["-sS", "http://127.0.0.1:\(try network.port("s1"))/metrics"]).output
    let line = page.split(separator: "\n").first {
      $0.hasPrefix(#"simplerpc_calls_total{service="test",procedure="mark""#)
    }
    return line?.split(separator: " ").last.flatMap { Int($0) } ?? 0
  }

  /// A server that takes calls with GET too, with a procedure that must not run.
  private static func network(_ options: [String] = []) throws -> Network {
    let network = try Network(options: ["--allow-get"] + options)
    try network.directory.write("function mark(who) return who end", to: "test.lua")
    try network.describe(
      """
      service:
        - test: {providers: [s1], tenants: [me], rpcs: [mark]}
      rpc:
        test:
          - mark: {args: [who: str], returns: [str], src: test.lua, idempotent: true}
      """)
    try network.deploy()
    return network
  }

  /// Serves the files of a directory, from another port and so another origin.
  private static func pageServer(_ directory: TemporaryDirectory, port: Int) throws -> ChildProcess {
    let server = try ChildProcess(
      "/usr/bin/env",
      ["python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", directory.path, "\(port)"])
    try server.waitForLine("Serving HTTP on")
    return server
  }

  private static func query(_ who: String) -> String {
    "connect=v1&encoding=json&message=%7B%22who%22%3A%22\(who)%22%7D"
  }

  /// Tries all that a page can do, at two names of the server, then says so to its own server.
  private static func attack(port: Int) -> String {
    """
    <!doctype html><meta charset="utf-8"><title>attack</title><body><script>
    const settled = (element, use) => new Promise(done => {
      element.onload = element.onerror = done; use(element); document.body.append(element);
    });
    let frames = 0;
    async function form(url, type, how) {
      const frame = document.createElement("iframe"); frame.name = "frame" + frames++;
      document.body.append(frame);
      const form = document.createElement("form");
      form.action = url; form.method = "post"; form.enctype = type; form.target = frame.name;
      const input = document.createElement("input");
      input.name = '{"who":"' + how + '","x":"'; input.value = '"}'; form.append(input);
      document.body.append(form);
      await new Promise(done => { frame.onload = done; form.submit(); });
    }
    const quietly = promise => promise.catch(() => {});
    async function attack(base) {
      const url = base + "/test/mark", body = '{"who":"page"}';
      await form(url, "text/plain", "text"); await form(url, "application/x-www-form-urlencoded", "urlencoded");
      await form(url, "multipart/form-data", "multipart");
      await quietly(fetch(url, {method: "POST", mode: "no-cors", body}));
      await quietly(fetch(url, {method: "POST", mode: "no-cors", body: new Blob([body])}));
      await quietly(fetch(url, {method: "POST", headers: {"content-type": "application/json"}, body}));
      await quietly(fetch(url, {method: "POST", mode: "no-cors", headers: {"content-type": "application/json"}, body}));
      navigator.sendBeacon(url, body);
      await settled(document.createElement("img"), it => it.src = url + "?\(query("image"))");
      await settled(document.createElement("script"), it => it.src = url + "?\(query("script"))");
      await settled(document.createElement("iframe"), it => it.src = url + "?\(query("frame"))");
      await quietly(fetch(url + "?\(query("fetch"))", {mode: "no-cors"}));
    }
    (async () => {
      await attack("http://127.0.0.1:\(port)");
      await attack("http://localhost:\(port)");
      await attack("http://rebound.example:\(port)");
      await fetch("/done.html");
    })();
    </script>
    """
  }

  @Test(
    "a page of another origin executes nothing, whatever it tries",
    .enabled(if: isExpected, "there is no Chromium: Scripts/setup --tests installs chromium-headless-shell"))
  func otherOrigin() throws {
    let network = try Self.network()
    let port = try network.port("s1")
    let pages = TemporaryDirectory()
    try pages.write(Self.attack(port: port), to: "attack.html")
    try pages.write("done", to: "done.html")
    let pagePort = try FreePort.take()
    let server = try Self.pageServer(pages, port: pagePort)
    let browser = try Self.visit("http://attacker.example:\(pagePort)/attack.html", network.directory)
    try server.waitForLine("GET /done.html", on: .errors)
    // Each kind of attack has come as far as the server.
    for refusal in [
      "the origin 'http://attacker.example:\(pagePort)' may not call this server from a browser",
      "a page of another origin may not call this server from a browser",
      "'rebound.example:\(port)' is not a name of this server",
    ] {
      try network.server("s1").waitForLine(refusal, on: .errors)
    }
    #expect(try Self.callsOfMark(network) == 0)
    browser.killAtOnce()
    server.killAtOnce()
  }

  @Test(
    "a name that was made to lead here executes nothing, and a person at the address does",
    .enabled(if: isExpected, "there is no Chromium: Scripts/setup --tests installs chromium-headless-shell"))
  func rebinding() throws {
    let network = try Self.network()
    let port = try network.port("s1")
    let rebound = try Self.visit(
      "http://rebound.example:\(port)/test/mark?\(Self.query("rebound"))", network.directory)
    try network.server("s1").waitForLine(
      "'rebound.example:\(port)' is not a name of this server", on: .errors)
    rebound.killAtOnce()
    #expect(try Self.callsOfMark(network) == 0)
    // The same request by its address is what --allow-get is for: so the test above can fail.
    let own = try Self.visit(
      "http://127.0.0.1:\(port)/test/mark?\(Self.query("person"))", TemporaryDirectory())
    try network.server("s1").waitForLine("test.mark(str) ok", on: .errors)
    own.killAtOnce()
    #expect(try Self.callsOfMark(network) == 1)
  }

  @Test(
    "a page of an origin that was opened deliberately calls and reads the answer",
    .enabled(if: isExpected, "there is no Chromium: Scripts/setup --tests installs chromium-headless-shell"))
  func opened() throws {
    let pagePort = try FreePort.take()
    let network = try Self.network(["--allow-origin", "http://app.example:\(pagePort)"])
    let pages = TemporaryDirectory()
    try pages.write(
      """
      <!doctype html><script>
      fetch("http://127.0.0.1:\(try network.port("s1"))/test/mark", {
        method: "POST", headers: {"content-type": "application/json"}, body: '{"who":"friend"}'
      }).then(answer => answer.json()).then(answer => fetch("/done.html?" + answer.result));
      </script>
      """, to: "page.html")
    try pages.write("done", to: "done.html")
    let server = try Self.pageServer(pages, port: pagePort)
    let browser = try Self.visit("http://app.example:\(pagePort)/page.html", network.directory)
    try server.waitForLine("GET /done.html?friend", on: .errors)
    browser.killAtOnce()
    server.killAtOnce()
  }
}
