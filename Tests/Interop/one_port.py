"""Speaks every dialect to one port at the same time, plainly and inside TLS, each byte sent alone: the answers must be those
that whole requests get.

    one_port.py PORT MILLISECONDS     between two bytes"""

import asyncio
import ssl
import struct
import sys

PORT, PAUSE = int(sys.argv[1]), float(sys.argv[2]) / 1000


def native(kind, call, payload):
    return struct.pack("<IBBHQ", len(payload), kind, 0, 0, call) + payload


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def field(name, value):
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


FIELDS = b"".join(field(*pair) for pair in (
    (":method", "POST"), (":scheme", "http"), (":path", "/system/ping"), (":authority", "localhost"), ("te", "trailers"),
    ("content-type", "application/grpc")))
HELLO = b"\x82\xa7version\x01\xa5agent\xa4test"
BIND = b"\x94\xa6system\xa4ping\x90\xc0"
# The procedure 0 is system.ping, always.
LINE = b'{"header":"RPC-REQ","value":{"service":"system","rpc":"ping","arguments":[]}}\n'
WAYS = {
    "native": ("simplerpc/1", b"\x89RPC\r\n\x01\x00" + native(1, 0, HELLO) + native(2, 1, BIND), b""),
    "json": (None, LINE, b'{"header":"RPC-RES","value":{"return-values":["pong"]}}\n'),
    "healthz": ("http/1.1", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b'{"status":"serving"}'),
    "grpc": ("h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, FIELDS)
             + frame(0, 1, 1, b"\0\0\0\0\0"), b"\0\0\0\0\x06\x0a\x04pong"),
}
# What a BOUND of system.ping holds: its id, no arguments, one str.
BOUND = b"\x90\x91\xa3str"


def is_whole(way, said):
    return BOUND in said if way == "native" else WAYS[way][2] in said


async def send(writer, data, pause):
    for byte in data if pause else [data]:
        writer.write(bytes([byte]) if pause else data)
        await writer.drain()
        await asyncio.sleep(pause)


async def speak(way, is_tls, pause):
    """What the server says to a request until it is whole."""
    alpn, request, _ = WAYS[way]
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    said = b""
    if is_tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols([alpn])
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await send(writer, outgoing.read(), pause)
                incoming.write(await asyncio.wait_for(reader.read(65536), 30))
        tls.write(request)
        await send(writer, outgoing.read(), pause)
        while not is_whole(way, said):
            try:
                said += tls.read(65536)
            except ssl.SSLWantReadError:
                data = await asyncio.wait_for(reader.read(65536), 30)
                if not data:
                    break
                incoming.write(data)
    else:
        await send(writer, request, pause)
        while not is_whole(way, said):
            data = await asyncio.wait_for(reader.read(65536), 30)
            if not data:
                break
            said += data
    writer.close()
    return said


async def main():
    ways = [(way, is_tls) for way in WAYS for is_tls in (False, True)]
    for pause in (0, PAUSE):
        answers = await asyncio.gather(*(speak(way, is_tls, pause) for way, is_tls in ways))
        for (way, is_tls), said in zip(ways, answers):
            if not is_whole(way, said):
                raise SystemExit(f"{way}{' in TLS' if is_tls else ''}, {pause} s between bytes: {said!r}")
    print("all checks passed")


asyncio.run(main())
