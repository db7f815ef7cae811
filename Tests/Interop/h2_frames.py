"""RFC 9113 in cases, section by section."""

import struct

from h2_peer import *  # noqa: F403: all of it is words of these tables

# ---- RFC 9113, section 3: the beginning
case("3.4", "a call after the preface", request(1), fine())
case("3.4", "a preface that is none", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", closed_text, greets=False)
case("3.4", "a preface that is followed by no SETTINGS", PREFACE + PING_FRAME, error(PROTOCOL), greets=False)
case("3.4", "a preface that is followed by a call", PREFACE + request(1), error(PROTOCOL), greets=False)
case("3.4", "a preface that comes twice", PREFACE, error(PROTOCOL, SIZE))
case("3.4", "a call in one write with the preface", PREFACE + setting() + request(1), fine(), greets=False)

# ---- Section 4: frames
case("4.1", "a frame of an unknown kind", frame(0x16, 0, 0, b"what") + request(1), fine())
case("4.1", "a frame of an unknown kind on a stream", opened() + frame(0xee, 255, 1, b"") + frame(DATA, 1, 1, BODY), fine())
case("4.1", "flags that mean nothing here", frame(PING, 0xfe, 0, b"12345678") + request(1), fine())
case("4.1", "a reserved bit that is set", frame(PING, 0, 0x80000000, b"12345678") + request(1), fine())
case("4.1", "flags of DATA that mean nothing", opened() + frame(DATA, 0xf1 & ~PADDED, 1, BODY), fine())
case("4.2", "DATA above the largest frame", opened() + frame(DATA, 1, 1, bytes(16385)), stream_error(SIZE))
case("4.2", "HEADERS above the largest frame", frame(HEADERS, 5, 1, BLOCK + bytes(16385)), error(SIZE))
case("4.2", "SETTINGS above the largest frame", frame(SETTINGS, 0, 0, bytes(16386)), error(SIZE))
case("4.2", "an unknown frame above the largest frame", frame(0x20, 0, 0, bytes(16385)), error(SIZE))
case("4.2", "DATA of the largest frame", opened(1, path="/math/nothing") + frame(DATA, 1, 1, bytes(16384)), fine(status=12))
case("4.3", "fields that cannot be read", frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff"), error(COMPRESSION))
for kind, name, payload in (
    (DATA, "DATA", BODY), (HEADERS, "HEADERS", BLOCK), (PRIORITY, "PRIORITY", u32(0) + b"\1"), (RST, "RST_STREAM", u32(8)),
    (SETTINGS, "SETTINGS", b""), (PING, "PING", b"12345678"), (GOAWAY, "GOAWAY", bytes(8)), (WINDOW, "WINDOW_UPDATE", u32(1)),
    (0x30, "a frame of an unknown kind", b"x"),
):
    stream = 0 if kind in (SETTINGS, PING, GOAWAY) else 1
    case("4.3", f"{name} between HEADERS and CONTINUATION",
         frame(HEADERS, 0, 1, BLOCK[:10]) + frame(kind, 0, stream, payload) + frame(CONTINUATION, END_HEADERS, 1, BLOCK[10:]),
         error(PROTOCOL))
case("4.3", "HEADERS of another stream in between", frame(HEADERS, 0, 1, BLOCK[:10]) + frame(HEADERS, 4, 3, BLOCK), error(PROTOCOL))

# ---- Section 5: streams
for kind, name, payload in (
    (DATA, "DATA", BODY), (RST, "RST_STREAM", u32(8)), (WINDOW, "WINDOW_UPDATE", u32(1)), (CONTINUATION, "CONTINUATION", BLOCK),
):
    case("5.1", f"{name} on a stream that is idle", frame(kind, 4, 1, payload), error(PROTOCOL))
case("5.1", "PRIORITY on a stream that is idle", frame(PRIORITY, 0, 1, u32(0) + b"\1") + request(1), fine())
for kind, name, payload in ((DATA, "DATA", BODY), (HEADERS, "HEADERS", BLOCK)):
    case("5.1", f"{name} behind the end of a request",
         opened() + frame(DATA, 1, 1, BODY) + frame(kind, 5, 1, payload), either(is_error(CLOSED, PROTOCOL), is_ignored))
case("5.1", "CONTINUATION behind the end of a request", request(1) + frame(CONTINUATION, 4, 1, BLOCK),
     either(is_error(CLOSED, PROTOCOL)))
for kind, name, payload in (
    (WINDOW, "WINDOW_UPDATE", u32(1)), (PRIORITY, "PRIORITY", u32(0) + b"\1"), (RST, "RST_STREAM", u32(8)),
):
    case("5.1", f"{name} behind the end of a request", request(1) + frame(kind, 0, 1, payload) + request(3), fine(stream=3))
for kind, name, payload, check in (
    (DATA, "DATA", BODY, either(is_error(CLOSED), is_ignored)),
    (HEADERS, "HEADERS", BLOCK, either(is_error(CLOSED, PROTOCOL), is_ignored)),
    (CONTINUATION, "CONTINUATION", BLOCK, error(PROTOCOL, CLOSED)),
):
    case("5.1", f"{name} on a stream that the peer has reset", opened() + frame(RST, 0, 1, u32(8)) + frame(kind, 4, 1, payload), check)
for kind, name, payload in ((WINDOW, "WINDOW_UPDATE", u32(1)), (PRIORITY, "PRIORITY", u32(0) + b"\1"), (RST, "RST_STREAM", u32(8))):
    case("5.1", f"{name} on a stream that the peer has reset",
         opened() + frame(RST, 0, 1, u32(8)) + frame(kind, 0, 1, payload) + request(3), fine(stream=3))
case("5.1.1", "a stream of an even number", request(2), error(PROTOCOL))
# nghttp2 passes over it, since the stream may be one that was reset meanwhile: it is not answered in any case.
case("5.1.1", "a stream whose number is below the last", request(5) + request(1), either(is_error(PROTOCOL, CLOSED), is_unanswered))
case("5.1.1", "a request on the stream 0", frame(HEADERS, 5, 0, BLOCK), error(PROTOCOL))
case("5.1.1", "numbers that leave some out", request(9) + request(101), fine(stream=101))
case("5.1.1", "the highest number", request(0x7fffffff), fine(stream=0x7fffffff))
case("5.1.2", "more streams at once than SETTINGS allow",
     b"".join(opened(2 * index + 1) for index in range(257)), stream_error(REFUSED, PROTOCOL, stream=513))
case("5.3.1", "HEADERS that depend on their own stream", frame(HEADERS, 0x25, 1, u32(1) + b"\1" + BLOCK),
     either(is_error(PROTOCOL), lambda found: found[0] == "answer"))
case("5.3.1", "PRIORITY that depends on its own stream", opened() + frame(PRIORITY, 0, 1, u32(1) + b"\1"), stream_error(PROTOCOL))
case("5.4.1", "a call behind an error of the connection", frame(PING, 0, 1, b"12345678") + request(1), error(PROTOCOL))
case("5.5", "an unknown setting and an unknown frame", setting((0x99, 7)) + frame(0xaa, 3, 7, b"abc") + request(1), fine())

# ---- Section 6: each kind of frame
case("6.1", "DATA on the stream 0", frame(DATA, 0, 0, BODY), error(PROTOCOL))
case("6.1", "padding as long as the frame", opened() + frame(DATA, PADDED | 1, 1, bytes([10]) + BODY), error(PROTOCOL))
case("6.1", "padding where there is no byte", opened() + frame(DATA, PADDED | 1, 1, b""), error(PROTOCOL, SIZE))
case("6.1", "padding that fits", opened() + frame(DATA, PADDED | 1, 1, bytes([7]) + BODY + bytes(7)), fine())
case("6.1", "padding of no bytes", opened() + frame(DATA, PADDED | 1, 1, b"\0" + BODY), fine())
case("6.1", "a message in nine frames and an empty one at the end",
     opened() + b"".join(frame(DATA, 0, 1, BODY[i:i + 1]) for i in range(9)) + frame(DATA, 1, 1), fine())
case("6.2", "padding as long as the frame", frame(HEADERS, PADDED | 5, 1, bytes([255]) + BLOCK[:100]), error(PROTOCOL))
case("6.2", "padding that fits", frame(HEADERS, PADDED | 4, 1, bytes([5]) + BLOCK + bytes(5)) + frame(DATA, 1, 1, BODY), fine())
case("6.2", "a priority", frame(HEADERS, HAS_PRIORITY | 4, 1, u32(0) + b"\x10" + BLOCK) + frame(DATA, 1, 1, BODY), fine())
case("6.2", "a priority and padding", frame(HEADERS, HAS_PRIORITY | PADDED | 4, 1, b"\2" + u32(0) + b"\x10" + BLOCK + b"\0\0")
     + frame(DATA, 1, 1, BODY), fine())
case("6.2", "a priority that is cut off", frame(HEADERS, HAS_PRIORITY | 5, 1, b"\0\0\0"), error(SIZE, PROTOCOL))
case("6.2", "fields that are empty", frame(HEADERS, 5, 1), stream_error(PROTOCOL))
case("6.3", "PRIORITY on the stream 0", frame(PRIORITY, 0, 0, u32(1) + b"\1"), error(PROTOCOL))
case("6.3", "PRIORITY of 4 bytes", opened() + frame(PRIORITY, 0, 1, u32(0)), stream_error(SIZE))
case("6.3", "PRIORITY of 6 bytes", opened() + frame(PRIORITY, 0, 1, u32(0) + b"\1\1"), stream_error(SIZE))
case("6.4", "RST_STREAM on the stream 0", frame(RST, 0, 0, u32(8)), error(PROTOCOL))
case("6.4", "RST_STREAM of 3 bytes", opened() + frame(RST, 0, 1, b"\0\0\0"), error(SIZE))
case("6.4", "RST_STREAM of 5 bytes", opened() + frame(RST, 0, 1, bytes(5)), error(SIZE))
case("6.4", "RST_STREAM with a code that nobody knows", opened() + frame(RST, 0, 1, u32(0xdeadbeef)) + request(3), fine(stream=3))
case("6.5", "an acknowledgement that says something", frame(SETTINGS, ACK, 0, struct.pack(">HI", 1, 0)), error(SIZE))
case("6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1), error(PROTOCOL))
case("6.5", "SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, bytes(5)), error(SIZE))
case("6.5", "SETTINGS that are empty", frame(SETTINGS) + request(1), fine())
case("6.5.2", "ENABLE_PUSH of 2", setting((2, 2)), error(PROTOCOL))
case("6.5.2", "ENABLE_PUSH of 0", setting((2, 0)) + request(1), fine())
case("6.5.2", "a window of 2³¹", setting((4, 0x80000000)), error(FLOW))
case("6.5.2", "a window of 2³¹ − 1", setting((4, 0x7fffffff)) + request(1), fine())
case("6.5.2", "frames of 16383 bytes at most", setting((5, 16383)), error(PROTOCOL))
case("6.5.2", "frames of 2²⁴ bytes at most", setting((5, 16777216)), error(PROTOCOL))
case("6.5.2", "frames of 2²⁴ − 1 bytes at most", setting((5, 16777215)) + request(1), fine())
case("6.5.2", "no streams that the server opens", setting((3, 0)) + request(1), fine())
case("6.5.2", "a setting that nobody knows", setting((0x4242, 1)) + request(1), fine())
case("6.5.2", "one setting several times: the last counts", setting((4, 0), (4, 65535)) + request(1), fine())


def acknowledged(peer):
    count = 0
    peer.send(frame(PING, 0, 0, b"is it so"))
    while got := peer.next():
        count += got[0] == SETTINGS and got[1] & ACK
        if got[0] == PING:
            return None if count == 3 else f"{count} acknowledgements"
    return "closed"


acknowledged.wants = "an acknowledgement of each SETTINGS"
case("6.5.3", "each SETTINGS is acknowledged", setting((4, 100)) + setting(), acknowledged)


def pong(peer):
    got = peer.next()
    while got and got[0] != PING:
        got = peer.next()
    return None if got and got[1] & ACK and got[3] == b"12345678" else got


pong.wants = "the same bytes"
case("6.7", "PING is answered with its bytes", PING_FRAME, pong)
case("6.7", "an answer to no PING", frame(PING, ACK, 0, b"whatever") + request(1), fine())
case("6.7", "PING on a stream", frame(PING, 0, 1, b"12345678"), error(PROTOCOL))
case("6.7", "PING of 7 bytes", frame(PING, 0, 0, bytes(7)), error(SIZE))
case("6.7", "PING of 9 bytes", frame(PING, 0, 0, bytes(9)), error(SIZE))
case("6.6", "PUSH_PROMISE from a client", opened() + frame(PUSH, 4, 1, u32(2) + BLOCK), error(PROTOCOL))
case("6.8", "GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), error(PROTOCOL))
case("6.8", "GOAWAY of 7 bytes", frame(GOAWAY, 0, 0, bytes(7)), error(SIZE))
case("6.8", "GOAWAY behind a request", request(1) + frame(GOAWAY, 0, 0, bytes(8)), fine())
case("6.9", "the connection's window grows by nothing", frame(WINDOW, 0, 0, u32(0)), error(PROTOCOL))
case("6.9", "a stream's window grows by nothing", opened() + frame(WINDOW, 0, 1, u32(0)), stream_error(PROTOCOL))
case("6.9", "WINDOW_UPDATE of 3 bytes", frame(WINDOW, 0, 0, bytes(3)), error(SIZE))
case("6.9", "WINDOW_UPDATE of 5 bytes", frame(WINDOW, 0, 0, bytes(5)), error(SIZE))
case("6.9.1", "the connection's window overflows", frame(WINDOW, 0, 0, u32(0x7fffffff)), error(FLOW))
case("6.9.1", "a stream's window overflows", opened() + frame(WINDOW, 0, 1, u32(0x7fffffff)), stream_error(FLOW))
case("6.9.1", "windows as wide as they may be",
     opened() + frame(WINDOW, 0, 1, u32(0x7fffffff - 65535)) + frame(WINDOW, 0, 0, u32(0x7fffffff - 65535))
     + frame(DATA, 1, 1, BODY), fine())


def one_by_one(peer):
    """With a window of one byte the answer comes in frames of one."""
    body = b""
    peer.send(frame(PING, 0, 0, b"is it so"))
    while got := peer.next():
        kind, flags, stream, payload = got
        if kind == DATA:
            if len(payload) > 1:
                return f"DATA of {len(payload)} bytes"
            body += payload
            if not flags & END_STREAM:
                peer.send(frame(WINDOW, 0, 1, u32(1)))
        if flags & END_STREAM and stream == 1:
            return None if body == SUM else body
    return "closed"


one_by_one.wants = "the answer, a byte in each frame"
case("6.9.2", "a window of one byte", request(1), one_by_one, settings=[(4, 1)])


def grows(peer):
    """A window of 0 that is raised by SETTINGS."""
    found = peer.outcome()
    if found != ("nothing",):
        return found
    peer.send(setting((4, 3)))
    got = peer.next()
    while got and got[0] != DATA:
        got = peer.next()
    if not got or got[3] != SUM[:3]:
        return got
    peer.send(setting((4, 1)) + frame(WINDOW, 0, 1, u32(2)))
    found = peer.outcome()
    # The window is 0 again: -2 by the change, and 2 more.
    if found != ("nothing",):
        return found
    peer.send(frame(WINDOW, 0, 1, u32(100)))
    return None if answered(peer) else "no answer"


grows.wants = "as much as the window allows, also below 0"
case("6.9.2", "SETTINGS change the windows of streams that are open", request(1), grows, settings=[(4, 0)])
# The RFC asks for the end of the connection; nghttp2 ends the stream, whose window alone is in doubt.
case("6.9.2", "SETTINGS make a window overflow",
     opened() + frame(WINDOW, 0, 1, u32(0x7fffffff - 65535)) + setting((4, 65536)), stream_error(FLOW))
case("6.10", "CONTINUATION twice", frame(HEADERS, 0, 1, BLOCK[:7]) + frame(CONTINUATION, 0, 1, BLOCK[7:20])
     + frame(CONTINUATION, 4, 1, BLOCK[20:]) + frame(DATA, 1, 1, BODY), fine())
case("6.10", "CONTINUATION that is empty", frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, 4, 1) + frame(DATA, 1, 1, BODY), fine())
case("6.10", "CONTINUATION on the stream 0", frame(HEADERS, 0, 1, BLOCK[:7]) + frame(CONTINUATION, 4, 0, BLOCK[7:]), error(PROTOCOL))
case("6.10", "CONTINUATION on another stream", frame(HEADERS, 0, 1, BLOCK[:7]) + frame(CONTINUATION, 4, 3, BLOCK[7:]), error(PROTOCOL))
case("6.10", "CONTINUATION behind a whole head", opened() + frame(CONTINUATION, 4, 1, BLOCK), error(PROTOCOL))
case("6.10", "CONTINUATION behind DATA", opened() + frame(DATA, 0, 1, BODY[:3]) + frame(CONTINUATION, 4, 1, BLOCK), error(PROTOCOL))
case("6.10", "CONTINUATION more often than anybody needs",
     frame(HEADERS, 0, 1, BLOCK[:1]) + b"".join(frame(CONTINUATION, 0, 1, BLOCK[i:i + 1]) for i in range(1, 30)),
     error(PROTOCOL, CALM, INTERNAL, COMPRESSION))

# ---- Section 8: HTTP
case("8.1", "a second head that is no end", opened() + frame(HEADERS, 4, 1, literal([("x", "y")])), stream_error(PROTOCOL))
case("8.1", "trailers", opened() + frame(DATA, 0, 1, BODY) + frame(HEADERS, 5, 1, literal([("x", "y")])), fine())
case("8.1", "trailers without a body", opened() + frame(HEADERS, 5, 1, literal([("x", "y")])), fine(status=12))
case("8.1", "trailers with a pseudo field",
     opened() + frame(DATA, 0, 1, BODY) + frame(HEADERS, 5, 1, literal([(":method", "POST")])), stream_error(PROTOCOL))
case("8.1", "trailers with a field in capitals",
     opened() + frame(DATA, 0, 1, BODY) + frame(HEADERS, 5, 1, literal([("X", "y")])), stream_error(PROTOCOL))
for name, fields in (
    ("a name in capitals", [("X-Custom", "y")]), ("a name with a space", [("x y", "z")]), ("a name with a colon", [("x:y", "z")]),
    ("a name with a NUL", [("x\0", "z")]), ("a name of no bytes", [("", "z")]), ("a name that is no ASCII", [("x\xe9", "z")]),
    ("a value with a NUL", [("x", "a\0b")]), ("a value with a CR", [("x", "a\rb")]), ("a value with a LF", [("x", "a\nb")]),
    ("an unknown pseudo field", [(":unknown", "x")]), ("the pseudo field of answers", [(":status", "200")]),
    ("a pseudo field behind others", [("x", "y"), (":path", "/math/add")]),
    ("connection", [("connection", "close")]), ("keep-alive", [("keep-alive", "timeout=5")]),
    ("proxy-connection", [("proxy-connection", "close")]), ("transfer-encoding", [("transfer-encoding", "chunked")]),
    ("upgrade", [("upgrade", "h2c")]), ("te that is not trailers", [("te", "gzip")]),
    (":method twice", [(":method", "POST")]), (":scheme twice", [(":scheme", "http")]), (":path twice", [(":path", "/")]),
    (":authority twice", [(":authority", "localhost")]),
    ("a content-length that is no number", [("content-length", "x")]),
    ("a negative content-length", [("content-length", "-1")]),
    ("two content-lengths", [("content-length", "9"), ("content-length", "9")]),
    ("a content-length above what comes", [("content-length", "10")]),
    ("a content-length below what comes", [("content-length", "8")]),
):
    case("8.2", name, request(1, *fields), stream_error(PROTOCOL))
case("8.2", "a content-length that is right", request(1, ("content-length", "9")), fine())
case("8.2", "a value that is empty", request(1, ("x", "")), fine())
case("8.2", "a value of bytes above ASCII", request(1, ("x", "\xe9\xff")), fine())
for name in ("method", "scheme", "path"):
    case("8.3.1", f"no :{name}", request(1, **{name: None}), stream_error(PROTOCOL))
    case("8.3.1", f":{name} of no bytes", request(1, **{name: ""}),
         stream_error(PROTOCOL) if name != "scheme" else either(is_error(PROTOCOL), lambda found: found[0] == "answer"))
case("8.3.1", "a :path that is no path", request(1, path="math/add"), stream_error(PROTOCOL))
case("8.3.1", "host in the place of :authority", request(1, ("host", "localhost"), authority=None), fine())
case("8.3.1", "neither :authority nor host", request(1, authority=None), stream_error(PROTOCOL))
case("8.5", "CONNECT with a path", request(1, method="CONNECT"), stream_error(PROTOCOL))
case("8.1", "GET of a page", frame(HEADERS, 5, 1, literal(
    [(":method", "GET"), (":scheme", "http"), (":path", "/healthz"), (":authority", "localhost")])), fine(status=200))
case("8.1", "a method that nobody knows", request(1, method="BREW"), fine(status=13))
