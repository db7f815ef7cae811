"""A peer of HTTP/2 whose frames are written by hand, for h2_cases.py. Its header compression is that of the library hpack."""

import socket
import struct
import sys

import hpack

PORT = int(sys.argv[1])
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, HAS_PRIORITY, ACK = 1, 4, 8, 32, 1
PROTOCOL, INTERNAL, FLOW, CLOSED, SIZE, REFUSED, COMPRESSION, CALM = 1, 2, 3, 5, 6, 7, 9, 11
BODY = bytes([0, 0, 0, 0, 4, 8, 1, 16, 2])
SUM = bytes([0, 0, 0, 0, 2, 8, 3])


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def u32(value):
    return struct.pack(">I", value)


def setting(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in pairs))


def head(*more, **changed):
    """The fields of a call of math.add; `None` takes one away."""
    fields = {"method": "POST", "scheme": "http", "path": "/math/add", "authority": "localhost", **changed}
    regular = [("te", "trailers"), ("content-type", "application/grpc")]
    return [(f":{name}", value) for name, value in fields.items() if value is not None] + regular + list(more)


def literal(fields):
    """Fields that nobody remembers, each byte as it is given."""
    return b"".join(b"\0" + string(name) + string(value) for name, value in fields)


def string(text):
    text = text.encode("latin-1") if isinstance(text, str) else text
    return number(len(text), 7) + text


def number(value, bits, first=0):
    """An integer of HPACK behind the bits of `first`."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = bytearray([first | most])
    value -= most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def request(stream, *more, body=BODY, flags=0, **changed):
    return frame(HEADERS, END_HEADERS | flags, stream, literal(head(*more, **changed))) + (
        b"" if flags & END_STREAM else frame(DATA, END_STREAM, stream, body))


def opened(stream=1, *more, **changed):
    """Only the head: the stream is open."""
    return frame(HEADERS, END_HEADERS, stream, literal(head(*more, **changed)))


class Peer:
    def __init__(self, settings=(), preface=PREFACE, greets=True):
        self.socket = socket.create_connection(("127.0.0.1", PORT))
        self.socket.settimeout(10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.decoder = hpack.Decoder()
        self.is_closed = False
        self.asked = 0
        if greets:
            self.send(preface + setting(*settings))

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.is_closed = True

    def next(self):
        """The next frame as (kind, flags, stream, payload); None once the server has closed."""
        while True:
            if len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + length:
                    kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big")
                    payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
                    if kind == SETTINGS and not flags & ACK:
                        self.send(frame(SETTINGS, ACK))
                    return kind, flags, stream, payload
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                self.is_closed = True
                return None
            self.buffer += data

    def outcome(self, stream=1):
        """What becomes of a stream, or of the connection: ("answer", status), ("reset", code), ("goaway", code) or
        ("closed",). The answer to a second PING tells that nothing more is to come: ("nothing",). That to the first may
        overtake what is said of the frames before it."""
        self.asked += 1
        first, second = (struct.pack(">II", self.asked, turn) for turn in (1, 2))
        self.send(frame(PING, 0, 0, first))
        status = None
        while True:
            got = self.next()
            if got is None:
                return ("closed",)
            kind, flags, of, payload = got
            if kind == GOAWAY:
                return "goaway", struct.unpack(">I", payload[4:8])[0]
            if kind == PING and flags & ACK and payload == first:
                self.send(frame(PING, 0, 0, second))
            if kind == PING and flags & ACK and payload == second:
                return ("nothing",)
            fields = self.decoder.decode(payload) if kind == HEADERS else []
            if of != stream:
                continue
            if kind == RST:
                return "reset", struct.unpack(">I", payload)[0]
            for name, value in fields:
                if name == "grpc-status" or name == ":status" and status is None:
                    status = int(value)
            if flags & END_STREAM and kind in (HEADERS, DATA):
                return "answer", status

    def close(self):
        self.socket.close()


def answered(peer, stream=1):
    return peer.outcome(stream) == ("answer", 0)


# ---- What may come of a case

def error(*codes):
    """The connection ends with one of these codes, and is closed."""
    def check(peer):
        found = peer.outcome()
        if found[0] == "goaway" and found[1] in codes:
            while peer.next():
                pass
            return None
        return found
    check.wants = f"GOAWAY {codes} and the end"
    return check


def stream_error(*codes, stream=1):
    """One stream is reset with one of these codes; ending the connection with it is no less (RFC 9113, section 5.4.1)."""
    def check(peer):
        found = peer.outcome(stream)
        return None if found[0] in ("reset", "goaway") and found[1] in codes else found
    check.wants = f"RST_STREAM or GOAWAY {codes}"
    return check


def fine(stream=1, status=0):
    def check(peer):
        found = peer.outcome(stream)
        return None if found == ("answer", status) else found
    check.wants = f"an answer with {status}"
    return check


def ignored(peer):
    found = peer.outcome()
    return None if found == ("nothing",) else found


ignored.wants = "nothing"


def either(*checks):
    """For what the RFC leaves open; the first frame decides."""
    def check(peer):
        found = peer.outcome()
        for wanted in checks:
            if wanted(found):
                return None
        return found
    check.wants = "one of several"
    return check


def is_error(*codes):
    return lambda found: found[0] in ("reset", "goaway") and found[1] in codes


def is_unanswered(found):
    return found == ("nothing",)


def is_ignored(found):
    return found == ("nothing",) or found == ("answer", 0)


def closed_text(peer):
    data = b""
    try:
        while more := peer.socket.recv(4096):
            data += more
    except OSError:
        pass
    return None if b"protocol" in data.lower() else data


closed_text.wants = "words, and the end"


CASES = []


def case(section, name, sends, check, settings=(), preface=PREFACE, greets=True):
    CASES.append((section, name, sends, check, settings, preface, greets))


PING_FRAME = frame(PING, 0, 0, b"12345678")
BLOCK = literal(head())
