"""A SimpleRPC client in one file, standard library only, written from Docs/PROTOCOL.md.

    with Client("127.0.0.1", 8282) as client:
        client.call("math.add", 1, 2)                       # 3
        calls = [client.start("math.add", i, i) for i in range(1000)]
        sums = [call.result() for call in calls]            # pipelined, answered in any order

None, bool, int, float, str, bytes, list and dict travel as themselves. One return value is returned
plainly, several as a tuple, none as None. A Client may be shared by threads, but not with a forked process.

A server that speaks TLS is known by the key of its certificate, Client(…, certificate="sha256//…") as
`rpc-server --print-pin` tells it, or by an authority, Client(…, ca="FILE"); without either it is spoken to plainly.

    python3 simplerpc.py [--certificate PIN | --ca FILE] HOST PORT SERVICE.PROCEDURE [ARGUMENT…]     arguments in JSON
"""

import base64
import hashlib
import json
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time
from concurrent.futures import Future, InvalidStateError, TimeoutError as FutureTimeout

PREFACE = b"\x89RPC\r\n\x01\x00"
HEADER = struct.Struct("<IBBHQ")
HELLO, BIND, BOUND, CALL, REPLY, ERROR, CANCEL, PING, PONG, GOAWAY, GENERATION = range(1, 12)
FRAME_BYTES = 16 * 1024 * 1024
KEEPALIVE = 5.0  # seconds of silence with calls in flight before a PING, and again before the connection is given up


class RPCError(Exception):
    """Why a call returned nothing. `executed` is "no", "maybe" or "yes": whether repeating it is safe."""

    def __init__(self, exception, message, executed="no", **details):
        super().__init__(f"{exception}: {message}")
        self.exception, self.message, self.executed = exception, message, executed
        for name in ("code", "source", "actual", "limit", "unit", "retry_after_ms"):
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
class Call(Future):
    """The answer to a call. `cancel` gives it up: the server is told, and a late answer is passed over."""

    client, call_id, binding, body, due = None, 0, None, b"", None
    bound_again = is_late = False

    def cancel(self):
        if not super().cancel():
            return False
        self.client.cancel(self)
        return True

    def result(self, timeout=None):
        if not self.done():
            self.client._check_process()
            if threading.current_thread() is self.client._reader:
                raise RuntimeError("a callback runs where answers are read, so it cannot wait for one: use start()")
        return super().result(timeout)

    def settle(self, result=None, error=None):
        """Takes the first answer; one that comes after a cancellation is passed over."""
        try:
            self.set_exception(error) if error else self.set_result(result)
        except InvalidStateError:
            pass
        except BaseException as problem:  # of a callback, such as sys.exit(): the answers of others must go on
            sys.excepthook(type(problem), problem, problem.__traceback__)


class _Secure:
    """TLS 1.3 around a connected socket, for one thread that reads and one at a time that writes: an SSLSocket may not
    be used by two at once."""

    def __init__(self, plain, host, certificate, ca):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["simplerpc/1"])
        if certificate:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the pin says more, see below
        else:
            context.load_verify_locations(ca)
        self._plain, self._lock, self._input, self._output = plain, threading.Lock(), ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._input, self._output, server_hostname=host)
        self.fileno, self.close, self.setsockopt = plain.fileno, plain.close, plain.setsockopt
        self.settimeout = plain.settimeout
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(self._output.read())
            except ssl.SSLError as error:
                plain.sendall(self._output.read())
                raise RPCError("Unauthenticated", f"the TLS handshake failed: {error}") from None
            if not (data := plain.recv(65536)):
                raise RPCError("Unavailable", "the server ended the connection within the TLS handshake")
            self._input.write(data)
        plain.sendall(self._output.read())
        if certificate and (found := pin(self._tls.getpeercert(binary_form=True))) != certificate:
            raise RPCError("Unauthenticated", f"the server has the certificate {found}, expected was {certificate}")

    def recv(self, count):
        """What came; b"" at the end, None where what came is no whole record."""
        data = self._plain.recv(count)
        with self._lock:
            self._input.write(data) if data else self._input.write_eof()
            plain = bytearray()
            try:
                while piece := self._tls.read(count):
                    plain += piece
            except ssl.SSLWantReadError:
                return bytes(plain) or None
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                pass
        return bytes(plain)

    def sendall(self, data):
        with self._lock:
            while data:
                data = data[self._tls.write(data) :]
            records = self._output.read()
        self._plain.sendall(records)

    def shutdown(self, how):
        with self._lock:
            try:
                self._tls.unwrap()  # says close_notify, and would wait for the server's
            except ssl.SSLError:
                pass
            if records := self._output.read():
                self._plain.send(records, socket.MSG_DONTWAIT)
        self._plain.shutdown(how)


def pin(certificate):
    """sha256//BASE64 of the SubjectPublicKeyInfo of a certificate in DER (RFC 5280, section 4.1)."""

    def enter(at):
        """Where the contents of the element at `at` begin, and where it ends."""
        length, start = certificate[at + 1], at + 2
        if length >= 0x80:
            start += length & 0x7F
            length = int.from_bytes(certificate[at + 2 : start], "big")
        return start, start + length

    at = enter(enter(0)[0])[0]
    if certificate[at] == 0xA0:  # the version
        at = enter(at)[1]
    for _ in ("serial number", "signature", "issuer", "validity", "subject"):
        at = enter(at)[1]
    digest = hashlib.sha256(certificate[at : enter(at)[1]]).digest()
    return "sha256//" + base64.b64encode(digest).decode()


class Client:
    """One connection to one server. `connect_timeout` is in seconds, until the server has introduced itself."""

    def __init__(self, host, port, identity=None, connect_timeout=5.0, certificate=None, ca=None):
        self._socket = socket.create_connection((host, int(port)), connect_timeout)
        if certificate or ca:
            plain = self._socket
            try:
                self._socket = _Secure(plain, host, certificate, ca)
            except BaseException:
                plain.close()
                raise
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._process = os.getpid()
        self._last_id = 0
        self._lock = threading.Lock()  # of what follows; nobody waits while holding it
        self._output = bytearray()  # whole frames, in the order of their ids
        self._sender = threading.Lock()  # the thread that holds it empties the output
        self._pending = {}  # call id -> future
        self._bindings = {}  # (service, procedure, types) -> future of [procedure id, …]
        self._down = None  # why no more calls are taken
        self._frame_bytes = FRAME_BYTES  # the most that the server takes
        self._reader = threading.Thread(target=self._read, daemon=True)
        self.server = self._call()  # the server's HELLO
        hello = {"version": 1, "agent": "simplerpc.py/1.1", "frame_bytes": FRAME_BYTES}
        hello["keepalive_ms"] = int(KEEPALIVE * 1000)
        hello |= {"identity": identity} if identity else {}
        self._output += PREFACE + _frame(HELLO, 0, pack(hello))
        self._reader.start()
        try:
            self._flush()
            self.server.result(connect_timeout)
        except FutureTimeout:
            self.close()
            raise RPCError("Unavailable", f"no HELLO within {connect_timeout} s") from None
        except BaseException:
            self.close()
            raise

    def call(self, name, *arguments, timeout=None, types=None):
        """Calls `service.procedure` and returns what it returns. `timeout` is in seconds."""
        future = self.start(name, *arguments, timeout=timeout, types=types)
        try:
            return future.result(None if timeout is None else max(0, timeout) + 0.5)  # the server notices first
        except BaseException as error:
            future.cancel()  # which does nothing to one that was answered
            if not isinstance(error, FutureTimeout):
                raise
            executed = "maybe" if future.call_id else "no"
            raise RPCError("DeadlineExceeded", f"no answer within {timeout} s", executed) from None

    def start(self, name, *arguments, timeout=None, types=None):
        """Starts a call and returns its future at once."""
        future = self._call()
        future.due = None if timeout is None else time.monotonic() + timeout
        future.binding = (*name.partition(".")[::2], tuple(types or map(describe, arguments)))
        future.body = pack(arguments)
        self._bind(future)
        return future

    def cancel(self, future):
        """Ends a call that was started; its future gets the server's last word."""
        if os.getpid() == self._process and self._pending.get(future.call_id) is future:
            self._send(_frame(CANCEL, future.call_id))

    def ping(self, timeout=None):
        """Returns once the server has answered."""
        future = self._call()
        self._request(PING, b"", future)
        try:
            future.result(timeout)
        except FutureTimeout:
            raise RPCError("DeadlineExceeded", f"no answer within {timeout} s") from None

    def close(self):
        """Ends the connection; calls in flight fail."""
        if os.getpid() == self._process:
            self._fail(RPCError("Cancelled", "the client was closed", "maybe"))
            if threading.current_thread() is not self._reader:
                self._reader.join(5)
        self._socket.close()  # in a forked process its copy alone, so that its parent's connection lives on

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _check_process(self):
        if os.getpid() != self._process:
            raise RPCError("Unavailable", "this client belongs to the process that forked: make one of your own")

    def _call(self):
        self._check_process()
        future = Call()
        future.client = self
        return future

    def _bind(self, future):
        with self._lock:
            bound = self._bindings.get(future.binding)
            asks = bound is None
            # A BIND that was sent before may be refused by what was in force before: then it is asked once more.
            future.is_late = future.is_late is False and not asks
            if asks:
                bound = self._bindings[future.binding] = self._call()
        if asks:
            self._request(BIND, pack([*future.binding, None]), bound)
        bound.add_done_callback(lambda bound: self._bound(future, bound))

    def _bound(self, future, bound):
        if future.done():
            return  # given up while it waited: nothing is sent
        if error := bound.exception():
            with self._lock:  # the procedure may be there the next time
                if self._bindings.get(future.binding) is bound:
                    del self._bindings[future.binding]
            return self._bind(future) if future.is_late and not self._down else future.settle(error=error)
        left = 0 if future.due is None else future.due - time.monotonic()
        if future.due is not None and left <= 0:
            return future.settle(error=RPCError("DeadlineExceeded", "the time was over before it was sent"))
        microseconds = min(2**32 - 1, max(1, int(left * 1e6))) if left else 0
        self._request(CALL, struct.pack("<II", bound.result()[0], microseconds) + future.body, future)

    def _request(self, kind, payload, future):
        """Sends what will be answered; what cannot be sent is answered here."""
        error = None
        if len(payload) > self._frame_bytes:
            error = RPCError("ResourceExhausted", f"{len(payload)} bytes, the server takes {self._frame_bytes}")
            error.actual, error.limit = len(payload), self._frame_bytes
        with self._lock:
            error = error or self._down
            if not error:
                self._last_id = future.call_id = self._last_id + 1
                self._pending[future.call_id] = future
                self._output += _frame(kind, future.call_id, payload)
        if error:
            return future.settle(error=error)
        self._flush()

    def _send(self, data):
        with self._lock:
            self._output += data
        self._flush()

    def _flush(self):
        # The server may wait until its answers are read before it reads on: the reader must not wait for it.
        if threading.current_thread() is self._reader:
            threading.Thread(target=self._write, daemon=True).start()
        else:
            self._write()

    def _write(self):
        with self._sender:
            with self._lock:
                data, self._output = self._output, bytearray()
            try:
                self._socket.sendall(data)
            except OSError as error:
                self._fail(RPCError("Unavailable", str(error), "maybe"))
            except BaseException:  # such as Ctrl-C: half a frame may have left, and nothing may follow it
                self._fail(RPCError("Unavailable", "sending was interrupted", "maybe"))
                raise

    # The reader's thread

    def _read(self):
        try:
            stream = bytearray()
            while data := self._receive():
                stream += data
                while len(stream) >= HEADER.size:
                    length, kind, _, status, call_id = HEADER.unpack_from(stream)
                    if length > FRAME_BYTES:
                        raise ValueError(f"a frame of {length} bytes, the limit is {FRAME_BYTES}")
                    end = HEADER.size + length
                    if len(stream) < end:
                        break
                    payload = bytes(stream[HEADER.size : end])
                    del stream[:end]
                    self._received(kind, status, call_id, payload)
            self._fail(RPCError("Unavailable", "the server closed the connection", "maybe"))
        except OSError as error:
            self._fail(RPCError("Unavailable", str(error), "maybe"))
        except Exception as error:  # whatever the bytes were: nobody may wait for a reader that has gone
            self._fail(RPCError("ProtocolError", f"the server broke the protocol: {error!r}", "maybe"))

    def _receive(self):
        """What came; with calls in flight the server has to show that it is there (section 5, keepalive)."""
        pinged = False
        readable = select.poll()
        readable.register(self._socket, select.POLLIN)
        while True:
            if readable.poll(KEEPALIVE * 1000):
                if (data := self._socket.recv(65536)) is not None:
                    return data
                continue
            if pinged and self._pending:
                raise OSError(f"the server has stopped answering: no PONG within {KEEPALIVE:g} s")
            pinged = bool(self._pending)
            if pinged:
                self._send(_frame(PING, 0))

    def _take(self, call_id):
        with self._lock:
            return self._pending.pop(call_id, None)

    def _received(self, kind, status, call_id, payload):
        if kind in (REPLY, BOUND, PONG):
            values = tuple(unpack(payload)) if payload else ()
            if future := self._take(call_id):
                future.settle(values[0] if kind == REPLY and len(values) == 1 else values or None)
        elif kind == ERROR:
            details = unpack(payload) | {"code": status}
            name, message = details.pop("exception"), details.pop("message")
            executed = {0: "no", 2: "yes"}.get(details.pop("executed", 1), "maybe")
            error = RPCError(name, message, executed, **details)
            future = self._take(call_id)
            if call_id == 0:
                self._fail(error)
            elif future and name == "StaleBinding" and not future.bound_again:
                future.bound_again = True
                with self._lock:
                    self._bindings.pop(future.binding, None)
                self._bind(future)
            elif future:
                future.settle(error=error)
        elif kind == HELLO:
            hello = unpack(payload)
            if hello["version"] != 1:
                raise ValueError(f"version {hello['version']}, this client speaks 1")
            self._frame_bytes = hello.get("frame_bytes", FRAME_BYTES)
            self.server.settle(hello)
        elif kind == PING:
            self._send(_frame(PONG, call_id))
        elif kind == GENERATION:
            with self._lock:
                self._bindings = {}
        elif kind == GOAWAY:
            error = RPCError("Unavailable", unpack(payload)[0])
            with self._lock:
                self._down = self._down or error
                late = [self._pending.pop(each) for each in list(self._pending) if each > call_id]
            for future in late:
                future.settle(error=error)

    def _fail(self, error):
        with self._lock:
            self._down = self._down or error
            waiting, self._pending = [self.server, *self._pending.values()], {}
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is gone already
        for future in waiting:
            future.settle(error=error)


def _frame(kind, call_id, payload=b""):
    return HEADER.pack(len(payload), kind, 0, 0, call_id) + payload


def main(arguments):
    trust = {}
    if len(arguments) > 1 and arguments[0] in ("--certificate", "--ca"):
        trust = {arguments[0][2:]: arguments[1]}
        arguments = arguments[2:]
    if len(arguments) < 3:
        return "write: simplerpc.py [--certificate PIN | --ca FILE] HOST PORT SERVICE.PROCEDURE [ARGUMENT…]", 2
    try:
        values = list(map(json.loads, arguments[3:]))
    except ValueError as error:
        return f"an argument is not JSON: {error}", 2
    try:
        with Client(*arguments[:2], **trust) as client:
            print(client.call(arguments[2], *values))
    except (RPCError, OSError, ValueError, OverflowError) as error:
        return str(error), 1
    return None, 0


if __name__ == "__main__":
    problem, code = main(sys.argv[1:])
    if problem:
        print("simplerpc.py:", " ".join(problem.split()), file=sys.stderr)
    sys.exit(code)
