"""A client of Python's own ssl module for the tests: tls_client.py PORT CERTIFICATE KEY WAY, where WAY is

  call SERVICE.PROCEDURE   prints the answer, or how the connection failed
  bytes                    sends everything one byte a segment, and prints the answer
  half                     sends half a line and ends the connection without close_notify
  resume                   calls, waits for a line on standard input, calls again on 20 new connections with the same
                           session, prints how many were resumed, and calls on the first connection
  hold SERVICE.PROCEDURE   calls once for each line of standard input, on one connection
"""

import json
import socket
import ssl
import sys

port, certificate, key, way = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
name = sys.argv[5] if len(sys.argv) > 5 else "system.ping"
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
if certificate:
    context.load_cert_chain(certificate, key)


def request():
    service, rpc = name.split(".")
    value = {"service": service, "rpc": rpc, "arguments": []}
    return json.dumps({"header": "RPC-REQ", "value": value}).encode() + b"\n"


def connect(session=None):
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port)), session=session)


def call(secure):
    secure.sendall(request())
    line = b""
    while not line.endswith(b"\n"):
        piece = secure.recv(65536)
        if not piece:
            return "ended"
        line += piece
    return line.decode().strip()


def by_single_bytes():
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = context.wrap_bio(received, to_send)

    def step(action):
        while True:
            try:
                result = action()
            except ssl.SSLWantReadError:
                result = None
            for byte in to_send.read():
                plain.sendall(bytes([byte]))
            if result is not None:
                return result
            received.write(plain.recv(1))

    step(lambda: secure.do_handshake() or 1)
    step(lambda: secure.write(request()))
    line = b""
    while not line.endswith(b"\n"):
        line += step(lambda: secure.read(1))
    return line.decode().strip()


try:
    if way == "call":
        print(call(connect()))
    elif way == "bytes":
        print(by_single_bytes())
    elif way == "half":
        secure = connect()
        call(secure)
        secure.sendall(request()[:20])
        socket.socket(fileno=secure.detach()).close()
        print("ended")
    elif way == "resume":
        secure = connect()
        print(call(secure), flush=True)
        session = secure.session
        input()
        others = [connect(session) for _ in range(20)]
        answers = {call(again) for again in others}
        print(*answers, sum(again.session_reused for again in others), "of 20 resumed")
        print(call(secure))
    elif way == "hold":
        secure = connect()
        for _ in sys.stdin:
            print(call(secure), flush=True)
except OSError as error:
    print("failed:", error)
