"""A SimpleRPC client in one file, standard library only, written from Docs/PROTOCOL.md.

    with Client("127.0.0.1", 8282) as client:
        client.call("math.add", 1, 2)                       # 3
        calls = [client.start("math.add", i, i) for i in range(1000)]
        sums = [call.result() for call in calls]            # pipelined, answered in any order

None, bool, int, float, str, bytes, list and dict travel as themselves. One return value is returned
plainly, several as a tuple, none as None. A Client may be shared by threads.

    python3 simplerpc.py HOST PORT SERVICE.PROCEDURE [ARGUMENT…]     arguments in JSON
"""

import json
import socket
import struct
import sys
import threading
from concurrent.futures import Future, TimeoutError as FutureTimeout

PREFACE = b"\x89RPC\r\n\x01\x00"
HEADER = struct.Struct("<IBBHQ")
HELLO, BIND, BOUND, CALL, REPLY, ERROR, CANCEL, PING, PONG, GOAWAY, GENERATION = range(1, 12)
FRAME_BYTES = 16 * 1024 * 1024


class RPCError(Exception):
    """Why a call returned nothing. `executed` is "no", "maybe" or "yes": whether repeating it is safe."""

    def __init__(self, exception, message, executed="no", **details):
        super().__init__(f"{exception}: {message}")
        self.exception, self.message, self.executed = exception, message, executed
        for name in ("code", "source", "actual", "limit", "retry_after_ms"):
            setattr(self, name, details.get(name))


# Values (section 3)
def pack(value):
    """The shortest MessagePack form of a value."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        if -32 <= value <= 0x7F:
            return struct.pack(">b", value)
        for index, form in enumerate("BHIQ" if value >= 0 else "bhiq"):
            bits = (8 << index) - (value < 0)
            if (value if value >= 0 else -value - 1) < 1 << min(bits, 63):
                return struct.pack(">B" + form, (0xCC if value >= 0 else 0xD0) + index, value)
        raise OverflowError(f"{value} does not fit a signed 64-bit integer")
    if isinstance(value, float):
        return struct.pack(">Bd", 0xCB, value)
    if isinstance(value, str):
        data = value.encode()
        return _head(len(data), 0xA0, 32, 0xD9, "BHI") + data
    if isinstance(value, bytes):
        return _head(len(value), 0, 0, 0xC4, "BHI") + value
    if isinstance(value, (list, tuple)):
        return _head(len(value), 0x90, 16, 0xDC, "HI") + b"".join(map(pack, value))
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        items = (pack(key) + pack(item) for key, item in value.items())
        return _head(len(value), 0x80, 16, 0xDE, "HI") + b"".join(items)
    raise TypeError(f"{value!r:.60} cannot travel")


def _head(count, fix, below, first, forms):
    if count < below:
        return bytes([fix | count])
    index = sum(count >= 1 << 8 * struct.calcsize(form) for form in forms)
    return struct.pack(">B" + forms[index], first + index, count)


def unpack(data):
    """Decodes exactly one value, trusting no length."""
    value, end = _value(bytes(data), 0, 0)
    if end != len(data):
        raise ValueError("bytes follow the end of the value")
    return value


def _number(data, at, form):
    if struct.calcsize(form) > len(data) - at:
        raise ValueError("the bytes end inside a value")
    return struct.unpack_from(">" + form, data, at)[0], at + struct.calcsize(form)


def _value(data, at, depth):
    if depth > 64:
        raise ValueError("lists and maps nest deeper than 64 levels")
    kind, at = _number(data, at, "B")
    if kind <= 0x7F or kind >= 0xE0:
        return kind - 256 * (kind > 0x7F), at
    if kind in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[kind], at
    if 0xCA <= kind <= 0xD3:
        value, at = _number(data, at, "fdBHIQbhiq"[kind - 0xCA])
        if kind == 0xCF and value >> 63:
            raise ValueError(f"{value} does not fit a signed 64-bit integer")
        return value, at
    if kind <= 0xBF:
        family, count = ("map", "list", "str", "str")[(kind >> 4) - 8], kind & (15 if kind < 0xA0 else 31)
    elif kind in COUNTED:
        family, form = COUNTED[kind]
        count, at = _number(data, at, form)
    else:
        raise ValueError(f"MessagePack type 0x{kind:02x} is not used by this protocol")
    if count * (2 if family == "map" else 1) > len(data) - at:
        raise ValueError("the bytes end inside a value")
    if family in ("str", "bytes"):
        raw = data[at : at + count]
        return raw.decode() if family == "str" else raw, at + count
    items, result = [], {}
    for _ in range(count):
        item, at = _value(data, at, depth + 1)
        if family == "map":
            if not isinstance(item, str) or item in result:
                raise ValueError("the keys of a map are str, each once")
            result[item], at = _value(data, at, depth + 1)
        items.append(item)
    return (result if family == "map" else items), at


COUNTED = {0xC4 + index: ("bytes", form) for index, form in enumerate("BHI")}
COUNTED |= {0xD9 + index: ("str", form) for index, form in enumerate("BHI")}
COUNTED |= {0xDC: ("list", "H"), 0xDD: ("list", "I"), 0xDE: ("map", "H"), 0xDF: ("map", "I")}


# Types (section 4)
def describe(*values):
    """The narrowest type that all values have."""
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    if len(present) < len(values):
        return f"Optional[{describe(*present)}]" if present else "None"
    if kinds and kinds <= {list, tuple}:
        return f"List[{describe(*(item for value in values for item in value))}]"
    if kinds == {dict}:
        return f"Dict[str, {describe(*(item for value in values for item in value.values()))}]"
    if kinds == {int, float}:
        return "float"
    return kinds.pop().__name__ if len(kinds) == 1 else "Any" if kinds else "?"


# The client (sections 1, 5 and 6)
class Client:
    """One connection to one server."""

    def __init__(self, host, port, identity=None, connect_timeout=5.0):
        self._socket = socket.create_connection((host, int(port)), connect_timeout)
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._last_id = 0
        self._lock = threading.Lock()  # ids leave in order, and frames whole
        self._pending = {}  # call id -> future
        self._bindings = {}  # (service, procedure, types) -> future of [procedure id, …]
        self._down = None  # why no more calls are taken
        self.server = Future()  # the server's HELLO
        hello = {"version": 1, "agent": "simplerpc.py/1.0", "frame_bytes": FRAME_BYTES}
        hello |= {"identity": identity} if identity else {}
        self._send(PREFACE + _frame(HELLO, 0, pack(hello)))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def call(self, name, *arguments, timeout=None, types=None):
        """Calls `service.procedure` and returns what it returns. `timeout` is in seconds."""
        future = self.start(name, *arguments, timeout=timeout, types=types)
        try:
            return future.result(timeout and timeout + 0.5)  # the server is to notice first
        except FutureTimeout:
            self.cancel(future)
            raise RPCError("DeadlineExceeded", f"no answer within {timeout} s", "maybe") from None

    def start(self, name, *arguments, timeout=None, types=None):
        """Starts a call and returns its future at once."""
        future = Future()
        future.call_id = 0  # not sent yet
        microseconds = min(2**32 - 1, max(1, int(timeout * 1e6))) if timeout else 0
        future.binding = (*name.partition(".")[::2], tuple(types or map(describe, arguments)))
        future.body = struct.pack("<I", microseconds) + pack(arguments)
        return self._send_call(future)

    def cancel(self, future):
        """Ends a call that was started; its future gets the server's last word."""
        if future.call_id in self._pending:
            self._send(_frame(CANCEL, future.call_id))

    def ping(self):
        """Returns once the server has answered."""
        self._request(PING, b"").result()

    def close(self):
        self._fail(RPCError("Cancelled", "the client was closed", "maybe"))
        self._reader.join(5)
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _send_call(self, future):
        if future.binding not in self._bindings:
            self._bindings[future.binding] = self._request(BIND, pack([*future.binding, None]))
        self._bindings[future.binding].add_done_callback(lambda bound: self._bound(future, bound))
        return future

    def _bound(self, future, bound):
        try:
            self._request(CALL, struct.pack("<I", bound.result()[0]) + future.body, future)
        except Exception as error:
            self._bindings.pop(future.binding, None)  # it may be there the next time
            future.set_exception(error)

    def _request(self, kind, payload, future=None):
        future = future or Future()
        with self._lock:
            if self._down:
                raise self._down
            self._last_id = future.call_id = self._last_id + 1
            self._pending[future.call_id] = future
            self._socket.sendall(_frame(kind, future.call_id, payload))
        return future

    def _send(self, data):
        with self._lock:
            self._socket.sendall(data)

    # The reader's thread

    def _read(self):
        try:
            stream = self._socket.makefile("rb")
            while header := stream.read(HEADER.size):
                length, kind, _, status, call_id = HEADER.unpack(header)
                if length > FRAME_BYTES:
                    raise ValueError(f"a frame of {length} bytes, the limit is {FRAME_BYTES}")
                self._received(kind, status, call_id, stream.read(length))
            raise OSError("the server closed the connection")
        except (OSError, ValueError, struct.error) as error:
            self._fail(RPCError("Unavailable", str(error), "maybe"))

    def _received(self, kind, status, call_id, payload):
        if kind in (REPLY, BOUND, PONG):
            values = tuple(unpack(payload)) if payload else ()
            future = self._pending.pop(call_id, None) or Future()
            future.set_result(values[0] if kind == REPLY and len(values) == 1 else values or None)
        elif kind == ERROR:
            details = unpack(payload)
            name, message = details.pop("exception"), details.pop("message")
            executed = ("no", "maybe", "yes")[details.pop("executed", 1)]
            error = RPCError(name, message, executed, code=status, **details)
            future = self._pending.pop(call_id, None)
            if call_id == 0:
                self._fail(error)
            elif future and name == "StaleBinding" and not hasattr(future, "bound_again"):
                future.bound_again = True
                self._bindings.pop(future.binding, None)
                self._send_call(future)
            elif future:
                future.set_exception(error)
        elif kind == HELLO:
            self.server.set_result(unpack(payload))
        elif kind == PING:
            self._send(_frame(PONG, call_id))
        elif kind == GENERATION:
            self._bindings = {}
        elif kind == GOAWAY:
            self._down = RPCError("Unavailable", unpack(payload)[0])
            for late in [late for late in self._pending if late > call_id]:
                self._pending.pop(late).set_exception(self._down)

    def _fail(self, error):
        with self._lock:
            self._down = self._down or error
            waiting, self._pending = [self.server, *self._pending.values()], {}
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is gone already
        for future in waiting:
            if not future.done():
                future.set_exception(error)


def _frame(kind, call_id, payload=b""):
    return HEADER.pack(len(payload), kind, 0, 0, call_id) + payload


if __name__ == "__main__":
    with Client(sys.argv[1], sys.argv[2]) as remote:
        print(remote.call(sys.argv[3], *map(json.loads, sys.argv[4:])))
