import Foundation
import TestSupport
import Testing

@Suite("Clocks that were never set, or are set meanwhile")
struct ClockTests {
  /// A library that stands before the C library's clock: the wall clock reads what a file says, in seconds since 1970.
  private static func library(_ directory: TemporaryDirectory) throws -> (path: String, clock: String) {
    let clock = try directory.write("0", to: "clock")
    let source = try directory.write(
      """
      #define _GNU_SOURCE
      #include <dlfcn.h>
      #include <stdio.h>
      #include <stdlib.h>
      #include <time.h>
      int clock_gettime(clockid_t which, struct timespec *time) {
        static int (*real)(clockid_t, struct timespec *);
        if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
        int result = real(which, time);
        if (which != CLOCK_REALTIME) return result;
        long long seconds = 0;
        FILE *file = fopen("\(clock)", "r");
        if (file) {
          if (fscanf(file, "%lld", &seconds) != 1) abort();
          fclose(file);
        }
        time->tv_sec = seconds;
        return result;
      }
      """, to: "clock.c")
    let path = directory.file("clock.so")
    let compiled = try run("/usr/bin/env", ["cc", "-shared", "-fPIC", "-o", path, source, "-ldl"])
    guard compiled.ending == .code(0) else { throw Failure("no clock: \(compiled)") }
    return (path, clock)
  }

  @Test(
    "before 1970 servers start, are deployed to, called, asked and started again",
    arguments: [-1, -86_400, -9_000_000_000])
  func beforeTheEpoch(seconds: Int) throws {
    let directory = TemporaryDirectory()
    let (path, clock) = try Self.library(directory)
    try "\(seconds)".write(toFile: clock, atomically: true, encoding: .utf8)
    let environment: [String: String?] = ["LD_PRELOAD": path]
    let port = try FreePort.take()
    try directory.write("def one(): return 1\n", to: "one.py")
    let file = try directory.write(
      """
      network:
        servers:
          - s1: {ip: 127.0.0.1, port: \(port)}
        clients:
          - me: {ip: 127.0.0.1}
      service:
        - numbers: {providers: [s1], tenants: [me], rpcs: [one]}
      rpc:
        numbers:
          - one: {args: [], returns: [int], src: one.py}
      """, to: "init.yaml")
    for round in 0..<2 {
      let server = try ChildProcess(
        Programs.server, ["127.0.0.1", "\(port)", "--data", directory.file("data")], environment: environment)
      defer {
        server.signalGroup(SIGKILL)
        _ = try? server.waitForEnd(seconds: 10)
      }
      try server.waitForLine("listening on")
      let deployed = try run(Programs.initializer, [file], environment: environment)
      #expect(deployed.ending == .code(0), "\(round): \(deployed)")
      #expect(deployed.output.contains("up to date") == (round == 1), "\(deployed)")
      let asked = try run(
        Programs.shell, ["--config", file], input: .text("numbers.one\nstats\ndescribe s1\nservers\n"),
        environment: environment)
      #expect(asked.ending == .code(0), "\(asked)")
      #expect(asked.output.hasPrefix("1\n"), "\(asked)")
      // Set right, and far back again, while it runs.
      for other in [1_700_000_000, seconds - 1000] {
        try "\(other)".write(toFile: clock, atomically: true, encoding: .utf8)
        let stats = try run(
          Programs.shell, ["--config", file, "-c", "stats", "-c", "numbers.one"], environment: environment)
        #expect(stats.ending == .code(0), "\(stats)")
      }
    }
  }
}
