#!/usr/bin/env python3
"""Loads a gRPC server, or with --http1 one of JSON, with h2load, and says what it cost as `load` does: --port,
--connections, --outstanding, --duration, --warmup, --count, --server-pid, --json."""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--http1", action="store_true")
parser.add_argument("--connections", type=int, default=1)
parser.add_argument("--outstanding", type=int, default=1)
parser.add_argument("--duration", type=float, default=1)
parser.add_argument("--warmup", type=float, default=0)
parser.add_argument("--count", type=int)
parser.add_argument("--server-pid", type=int, required=True)
parser.add_argument("--json", action="store_true")
words = parser.parse_args()
folder = tempfile.TemporaryDirectory()
body = pathlib.Path(folder.name, "add")
body.write_bytes(b'{"arg1":1,"arg2":2}' if words.http1 else bytes([0, 0, 0, 0, 4, 8, 1, 16, 2]))
kind = ["-H", "content-type: application/json", "--h1"] if words.http1 else [
    "-H", "te: trailers", "-H", "content-type: application/grpc"]
log = pathlib.Path(folder.name, "log")


def load(count, log=None):
    command = [
        "h2load", "-n", str(count), "-c", str(words.connections), "-m", str(words.outstanding), "-d", str(body),
        *kind, f"http://127.0.0.1:{words.port}/math/add",
    ]
    if log:
        command.insert(1, f"--log-file={log}")
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    output = ran.stdout
    right = f"{count} succeeded, 0 failed, 0 errored, 0 timeout", f"status codes: {count} 2xx, 0 3xx, 0 4xx, 0 5xx"
    if not all(line in output for line in right) or ran.stderr:
        raise SystemExit(f"h2load: {output}{ran.stderr}")
    return float(output.split("finished in ")[1].split(" req/s")[0].split()[-1])


def server_cpu():
    """Seconds, by the process's own clock (clock_getcpuclockid(3))."""
    return time.clock_gettime(~words.server_pid << 3 | 2)


rate = load(max(words.connections * 20, 2000))
calls = words.count or max(words.connections * 20, int(rate * words.duration))
before = server_cpu()
rate = load(calls)
used = server_cpu() - before
# Latencies are written down in a run of their own.
load(max(words.connections * 20, calls // 4), log)
times = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
print(json.dumps({
    "calls": calls, "calls_per_second": rate, "server_cpu_us": used / calls * 1e6,
    "p50_us": times[len(times) // 2], "p99_us": times[len(times) * 99 // 100], "p999_us": times[len(times) * 999 // 1000],
}))
