"""Asks for a long answer and does not let it through, has openssl change the keys meanwhile, and then reads all of it:
tls_key_update.py PORT BYTES. Prints "all came" and the answer of another call."""

import json
import socket
import subprocess
import sys
import threading

port, size = int(sys.argv[1]), int(sys.argv[2])


def request(service, rpc, *arguments):
    value = {"service": service, "rpc": rpc, "arguments": list(arguments)}
    return json.dumps({"header": "RPC-REQ", "value": value}).encode() + b"\n"


listener = socket.create_server(("127.0.0.1", 0))
client = subprocess.Popen(
    ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
inner, _ = listener.accept()
outer = socket.create_connection(("127.0.0.1", port))
is_open = threading.Event()
is_open.set()
passed = threading.Condition()
count = 0


def forward():
    while data := outer.recv(65536):
        is_open.wait()
        inner.sendall(data)


def backward():
    global count
    while data := inner.recv(65536):
        outer.sendall(data)
        with passed:
            count += len(data)
            passed.notify()


for copy in (forward, backward):
    threading.Thread(target=copy, daemon=True).start()


def say(line):
    """Has openssl send something, and waits until it is on its way to the server."""
    with passed:
        before = count
        client.stdin.write(line)
        client.stdin.flush()
        passed.wait_for(lambda: count > before, timeout=60)


def read(wanted):
    text = b""
    while wanted not in text[-len(wanted) - 65536:]:
        piece = client.stdout.read1(65536)
        if not piece:
            raise SystemExit(f"openssl ended: {text[-500:]!r}")
        text += piece
    return text


read(b"Verify return code")
is_open.clear()
say(request("test", "big", size))
# What has come so far waits here; much more waits behind it.
outer.recv(1, socket.MSG_PEEK)
for _ in range(3):
    say(b"K\n")
is_open.set()
text = read(b'"]}}\n')
print("all came" if b"x" * size in text else f"{len(text)} bytes came")
say(request("system", "ping"))
print("pong" if b"pong" in read(b'"]}}\n') else "no answer")
client.kill()
