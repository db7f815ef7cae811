"""Runs Python procedures for SimpleRPC: one warm parent process that forks workers.

The parent (the "zygote") never runs a procedure's code. It forks a worker when told to, kills one when told
to, and reports each one's end. A worker runs one call at a time. Both use the standard library only.

Control dialect, between server and parent: a SOCK_SEQPACKET socket, one little-endian packet a message.

    to the parent    F id u32, one descriptor     fork a worker that serves this socket
                     K id u32                     kill that worker and its process group
    from the parent  R major u32, minor u32       ready, under this version of Python
                     S id u32, pid u32            the worker runs
                     E id u32, errno u32          the worker could not be forked
                     X id u32, status i32, signal i32     the worker ended: exit status, or the signal

Worker dialect, over a stream socket: the frames of the network protocol, `length u32 | kind u8 | flags u8 |
status u16 | call id u64`, then the payload. CALL, REPLY and ERROR are the network's own, with these beside:

    to the worker    LOAD 64     [unit, digest, source name, function, procedure, [parameter types],
                                 [return types], source or nil, memory bytes or nil]: makes `unit` callable as
                                 the procedure id of CALL. With flag 1 it is answered: REPLY [] or ERROR.
                                 Without, a failure is what the unit's calls answer.
                     FORGET 65   [[unit...], [digest...]]
    from the worker  LOG 66      [stream, line...] of the call: 1 standard output, 2 standard error
                     REPLY with flag 1: the worker should be replaced, it has run out of memory once

A worker ends when its socket does, and the parent ends, with its workers, when the control socket does.
"""

import os
import sys

sys.dont_write_bytecode = True

import array
import errno
import gc
import inspect
import io
import linecache
import mmap
import resource
import select
import signal
import socket
import struct
import time
import traceback
import types

HEADER = struct.Struct("<IBBHQ")
CALL, REPLY, ERROR, LOAD, FORGET, LOG = 4, 5, 6, 64, 65, 66
ANSWER = 1
REPLACE = 1
UNKNOWN, RESOURCE_EXHAUSTED, FAILED_PRECONDITION = 2, 8, 9
NOT_EXECUTED, EXECUTED = 0, 2
INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1
DEPTH_MAX = 64
MESSAGE_CHARACTERS = 8192


class Limits:
    """The bounds that the server hands over as `name=value` arguments."""

    memory = 512 << 20
    output = 16 << 20
    log_bytes = 64 << 10
    log_lines = 1000
    print_bytes = 8 << 20
    files = 256
    file_bytes = 256 << 20
    processes = 16


# MARK: MessagePack

F64 = struct.Struct(">d")
F32 = struct.Struct(">f")
U16 = struct.Struct(">H")
U32 = struct.Struct(">I")
U64 = struct.Struct(">Q")
I8 = struct.Struct(">b")
I16 = struct.Struct(">h")
I32 = struct.Struct(">i")
I64 = struct.Struct(">q")
NUMBERS = {
    0xCA: F32, 0xCB: F64, 0xCC: struct.Struct(">B"), 0xCD: U16, 0xCE: U32, 0xCF: U64,
    0xD0: I8, 0xD1: I16, 0xD2: I32, 0xD3: I64,
}
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
LENGTHS = {
    0xD9: (1, NUMBERS[0xCC]), 0xDA: (2, U16), 0xDB: (4, U32),
    0xC4: (1, NUMBERS[0xCC]), 0xC5: (2, U16), 0xC6: (4, U32),
    0xDC: (2, U16), 0xDD: (4, U32), 0xDE: (2, U16), 0xDF: (4, U32),
}
NATIVE_IS_LITTLE = sys.byteorder == "little"


def decode(b, p):
    """The value at `p` and where it ends. The server checked the bytes, so nothing is checked again."""
    t = b[p]
    if t < 0x80:
        return t, p + 1
    if t >= 0xE0:
        return t - 0x100, p + 1
    p += 1
    if t < 0x90:
        return decode_map(b, p, t & 15)
    if t < 0xA0:
        return decode_list(b, p, t & 15)
    if t < 0xC0:
        e = p + (t & 31)
        return b[p:e].decode(), e
    number = NUMBERS.get(t)
    if number is not None:
        return number.unpack_from(b, p)[0], p + number.size
    if t in LENGTHS:
        width, number = LENGTHS[t]
        n = number.unpack_from(b, p)[0]
        p += width
        if t >= 0xDE:
            return decode_map(b, p, n)
        if t >= 0xDC:
            return decode_list(b, p, n)
        e = p + n
        return (b[p:e].decode() if t >= 0xD9 else bytes(b[p:e])), e
    return CONSTANTS[t], p


def decode_list(b, p, n):
    if n > 32:
        # Long lists of small ints and of floats, which are the common ones, are read in one go.
        t = b[p]
        if t == 0xCB and b[p:p + 9 * n:9] == b"\xcb" * n:
            raw = bytearray(8 * n)
            for k in range(8):
                raw[7 - k if NATIVE_IS_LITTLE else k::8] = b[p + 1 + k:p + 9 * n:9]
            return array.array("d", bytes(raw)).tolist(), p + 9 * n
        if t < 0x80:
            chunk = b[p:p + n]
            if chunk.isascii():
                return list(chunk), p + n
    values = []
    append = values.append
    for _ in range(n):
        t = b[p]
        if t < 0x80:
            append(t)
            p += 1
        elif 0xA0 <= t < 0xC0:
            p += 1
            e = p + (t & 31)
            append(b[p:e].decode())
            p = e
        else:
            value, p = decode(b, p)
            append(value)
    return values, p


def decode_map(b, p, n):
    values = {}
    for _ in range(n):
        key, p = decode(b, p)
        values[key], p = decode(b, p)
    return values, p


SMALL = {i: bytes([i & 0xFF]) for i in range(-32, 128)}


def pack_int(v):
    if v >= 0:
        if v <= 0xFF:
            return b"\xcc" + bytes((v,))
        if v <= 0xFFFF:
            return b"\xcd" + U16.pack(v)
        if v <= 0xFFFFFFFF:
            return b"\xce" + U32.pack(v)
        return b"\xcf" + U64.pack(v)
    if v >= -0x80:
        return b"\xd0" + I8.pack(v)
    if v >= -0x8000:
        return b"\xd1" + I16.pack(v)
    if v >= -0x80000000:
        return b"\xd2" + I32.pack(v)
    return b"\xd3" + I64.pack(v)


def head(out, n, short, short_max, short_base, wide):
    """Appends a length: within the type byte, or in one, two or four bytes behind those of `wide`."""
    if n <= short_max:
        out.append(short_base | n)
    elif short and n <= 0xFF:
        out.append(wide[0])
        out.append(n)
    elif n <= 0xFFFF:
        out.append(wide[1])
        out += U16.pack(n)
    else:
        out.append(wide[2])
        out += U32.pack(n)


def list_head(out, n):
    if n <= 15:
        out.append(0x90 | n)
    else:
        head(out, n, False, 15, 0x90, (0, 0xDC, 0xDD))


def map_head(out, n):
    head(out, n, False, 15, 0x80, (0, 0xDE, 0xDF))


# MARK: Declared types

class Mismatch(Exception):
    """A value that does not have its declared type."""


class TooLarge(Exception):
    """Return values that do not fit a frame."""


def parse_type(text):
    """`Dict[str, List[int]]` as `("Dict", ("List", ("int", None)))`; the server spells it canonically."""
    if text.startswith("Dict[str, "):
        return "Dict", parse_type(text[10:-1])
    if text.endswith("]"):
        name, _, inner = text[:-1].partition("[")
        return name, parse_type(inner)
    return text, None


def describe(value, depth=0):
    """The type of a value in the spelling of declarations; what has none there shows its Python name."""
    kind = type(value)
    if value is None:
        return "None"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "str"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes"
    if isinstance(value, (list, tuple)) and depth < 8:
        return "List[%s]" % describe_all(value, depth)
    if isinstance(value, dict) and depth < 8:
        return "Dict[str, %s]" % describe_all(value.values(), depth)
    return kind.__name__


def describe_all(values, depth):
    names = []
    for value in values:
        name = describe(value, depth + 1)
        if name not in names:
            names.append(name)
        if len(names) > 3:
            break
    if sorted(names) == ["float", "int"]:
        return "float"
    if len(names) == 2 and "None" in names:
        names.remove("None")
        return "Optional[%s]" % names[0]
    return names[0] if len(names) == 1 else "Any" if names else "?"


def check_size(out, more=0):
    if len(out) + more > Limits.output:
        raise TooLarge(len(out) + more)


def encode_int(v, out):
    if type(v) is not int:
        if isinstance(v, bool) or not isinstance(v, int):
            raise Mismatch
        v = int(v)
    if -33 < v < 128:
        out += SMALL[v]
    elif INT_MIN <= v <= INT_MAX:
        out += pack_int(v)
    else:
        raise OverflowError(v)


def encode_float(v, out):
    if type(v) is not float:
        if isinstance(v, bool) or not isinstance(v, (int, float)):
            raise Mismatch
        try:
            v = float(v)
        except OverflowError:
            raise Unfit("%s, which no float can hold" % show_int(v)) from None
    out.append(0xCB)
    out += F64.pack(v)


def encode_str(v, out):
    if not isinstance(v, str):
        raise Mismatch
    if len(v) > Limits.output:
        raise TooLarge(len(v))
    try:
        raw = v.encode()
    except UnicodeEncodeError as e:
        raise Unfit(
            "a str with a lone surrogate (U+%04X at position %d), which UTF-8 has no bytes for"
            % (ord(v[e.start]), e.start)) from None
    n = len(raw)
    if n < 32:
        out.append(0xA0 | n)
    else:
        head(out, n, True, 31, 0xA0, (0xD9, 0xDA, 0xDB))
        check_size(out, n)
    out += raw


def encode_bytes(v, out):
    if not isinstance(v, (bytes, bytearray, memoryview)):
        raise Mismatch
    n = v.nbytes if isinstance(v, memoryview) else len(v)
    check_size(out, n)
    head(out, n, True, -1, 0, (0xC4, 0xC5, 0xC6))
    out += v


def encode_bool(v, out):
    if v is True:
        out.append(0xC3)
    elif v is False:
        out.append(0xC2)
    else:
        raise Mismatch


def encode_none(v, out):
    if v is not None:
        raise Mismatch
    out.append(0xC0)


def encode_any(v, out, depth=0):
    kind = type(v)
    if v is None:
        out.append(0xC0)
    elif isinstance(v, bool):
        out.append(0xC3 if v else 0xC2)
    elif isinstance(v, int):
        encode_int(v, out)
    elif isinstance(v, float):
        encode_float(v, out)
    elif isinstance(v, str):
        encode_str(v, out)
    elif isinstance(v, (bytes, bytearray, memoryview)):
        encode_bytes(v, out)
    elif depth >= DEPTH_MAX:
        raise Unfit("lists and dicts nested deeper than %d levels" % DEPTH_MAX)
    elif isinstance(v, (list, tuple)):
        list_head(out, len(v))
        check_size(out, len(v))
        for item in v:
            encode_any(item, out, depth + 1)
        check_size(out)
    elif isinstance(v, dict):
        map_head(out, len(v))
        check_size(out, len(v))
        for key, item in v.items():
            encode_key(key, out)
            encode_any(item, out, depth + 1)
        check_size(out)
    else:
        raise Unfit("a value of Python's type %s, which does not travel" % kind.__name__)


class Unfit(Exception):
    """A value that no declared type takes; says what it is."""


def encode_key(key, out):
    if not isinstance(key, str):
        raise Unfit("a dict with the key %s; a Dict's keys are str" % short_repr(key))
    encode_str(key, out)


def list_encoder(inner):
    item_encoder = encoder(inner)
    only_ints, only_floats = inner[0] == "int", inner[0] == "float"

    def encode_list(v, out):
        if not isinstance(v, (list, tuple)):
            raise Mismatch
        n = len(v)
        list_head(out, n)
        check_size(out, n)
        if n > 32:
            if only_ints and set(map(type, v)) == {int} and min(v) >= 0 and max(v) < 128:
                out += bytes(v)
                return
            if only_floats and set(map(type, v)) == {float}:
                check_size(out, 9 * n)
                raw = array.array("d", v)
                if NATIVE_IS_LITTLE:
                    raw.byteswap()
                raw = raw.tobytes()
                block = bytearray(9 * n)
                block[0::9] = b"\xcb" * n
                for k in range(8):
                    block[k + 1::9] = raw[k::8]
                out += block
                return
        for item in v:
            item_encoder(item, out)
        check_size(out)

    return encode_list


def dict_encoder(inner):
    item_encoder = encoder(inner)

    def encode_dict(v, out):
        if not isinstance(v, dict):
            raise Mismatch
        map_head(out, len(v))
        check_size(out, len(v))
        for key, item in v.items():
            encode_key(key, out)
            item_encoder(item, out)
        check_size(out)

    return encode_dict


def optional_encoder(inner):
    item_encoder = encoder(inner)

    def encode_optional(v, out):
        if v is None:
            out.append(0xC0)
        else:
            item_encoder(v, out)

    return encode_optional


SIMPLE_ENCODERS = {
    "int": encode_int, "float": encode_float, "str": encode_str, "bool": encode_bool, "bytes": encode_bytes,
    "None": encode_none, "Any": encode_any,
}
WRAPPING_ENCODERS = {"List": list_encoder, "Dict": dict_encoder, "Optional": optional_encoder}


def encoder(parsed):
    """What checks a value against a type and appends it, in one pass."""
    name, inner = parsed
    return SIMPLE_ENCODERS[name] if inner is None else WRAPPING_ENCODERS[name](inner)


def converter(parsed):
    """What makes an argument exactly its declared type, or None where it is already: an int may come for a
    float."""
    name, inner = parsed
    if name == "float":
        return float
    convert = converter(inner) if inner is not None else None
    if convert is None:
        return None
    if name == "List":
        return lambda v: list(map(convert, v))
    if name == "Dict":
        return lambda v: {key: convert(item) for key, item in v.items()}
    return lambda v: None if v is None else convert(v)


# MARK: Errors

def clip(text, limit=MESSAGE_CHARACTERS):
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[:limit] + "… (%d characters in all)" % len(text)


def short_repr(value):
    try:
        return clip(repr(value), 80)
    except BaseException:
        return "<%s>" % type(value).__name__


def show_int(v):
    return str(v) if v.bit_length() < 200 else "an int of %d bits" % v.bit_length()


def exception_message(error):
    """`ValueError: what it says`, whatever its own `__str__` does."""
    name = type(error).__qualname__
    try:
        text = str(error)
    except BaseException:
        text = "(its text cannot be shown)"
    return clip("%s: %s" % (name, text) if text else name)


def raising_line(error, source_name):
    """`rpc1.py:12`, the deepest line of the procedure's own source that the error came through."""
    line = None
    if isinstance(error, SyntaxError) and error.filename == source_name:
        line = error.lineno
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == source_name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return None if line is None else "%s:%d" % (source_name, line)


class Failure(Exception):
    """What a caller is told."""

    def __init__(self, message, executed, source=None, exception="ExecutionException", status=UNKNOWN,
                 actual=None, limit=None, replace=False):
        self.fields = {"exception": exception, "message": message, "executed": executed}
        if source is not None:
            self.fields["source"] = source
        if actual is not None:
            self.fields["actual"], self.fields["limit"] = actual, limit
        self.status = status
        self.replace = replace

    def frame(self, call):
        payload = bytearray()
        encode_any(self.fields, payload)
        return HEADER.pack(len(payload), ERROR, REPLACE if self.replace else 0, self.status, call) + payload


# MARK: Output of procedures

class LineSender(io.RawIOBase):
    """Standard output and error of a procedure: whole lines become LOG frames, up to a bound per call."""

    def __init__(self, worker, stream):
        self.worker = worker
        self.stream = stream
        self.partial = b""

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        worker = self.worker
        if os.getpid() != worker.pid:
            return len(data)
        worker.printed += len(data)
        if worker.printed > Limits.print_bytes:
            self.partial = b""
            raise RuntimeError("printed more than %d bytes in one call" % Limits.print_bytes)
        if worker.log_room > 0:
            lines = (self.partial + data).split(b"\n")
            self.partial = lines.pop()
            if len(self.partial) > worker.log_room:
                lines.append(self.partial)
                self.partial = b""
            if lines:
                worker.log(self.stream, lines)
        return len(data)

    def finish(self):
        if self.partial:
            lines, self.partial = [self.partial], b""
            self.worker.log(self.stream, lines)


# MARK: Worker

class Unit:
    """A procedure that this worker can call, or why it cannot."""

    def __init__(self, name, source_name, parameters, returns, memory):
        self.name = name
        self.source_name = source_name
        self.parameters = parameters
        self.converters = [converter(parse_type(text)) for text in parameters]
        if not any(self.converters):
            self.converters = None
        self.returns = returns
        self.encoders = [encoder(parse_type(text)) for text in returns]
        self.memory = memory or Limits.memory
        self.function = None
        self.failure = None


class Worker:
    def __init__(self, connection, forks):
        self.connection = connection
        self.pid = os.getpid()
        self.forks = forks
        self.units = {}
        self.modules = {}
        self.call = 0
        self.printed = 0
        self.log_room = 0
        self.log_lines_left = 0
        with open("/proc/self/statm") as statm:
            self.base_memory = int(statm.read().split()[0]) * mmap.PAGESIZE
        self.memory = None
        self.open_streams()

    def open_streams(self):
        self.senders = LineSender(self, 1), LineSender(self, 2)
        self.streams = [
            io.TextIOWrapper(io.BufferedWriter(sender, 8192), encoding="utf-8", errors="backslashreplace",
                             line_buffering=True)
            for sender in self.senders]

    def serve(self):
        connection = self.connection
        buffer = bytearray(65536)
        start = end = 0
        handlers = {CALL: self.do_call, LOAD: self.do_load, FORGET: self.do_forget}
        while True:
            while end - start >= 16:
                length, kind, flags, _, call = HEADER.unpack_from(buffer, start)
                after = start + 16 + length
                if after > end:
                    break
                handlers[kind](buffer, start + 16, call, flags)
                if os.getpid() != self.pid:
                    # A procedure forked, and its child came back here: it must not answer a second time.
                    os._exit(0)
                start = after
            have = end - start
            needed = 65536
            if have >= 16:
                needed = max(needed, 16 + length)
            if needed > len(buffer) or start and len(buffer) > 65536:
                grown = bytearray(needed)
                grown[:have] = buffer[start:end]
                buffer = grown
            elif have:
                buffer[:have] = buffer[start:end]
            start, end = 0, have
            with memoryview(buffer) as view:
                count = connection.recv_into(view[end:])
            if count == 0:
                os._exit(0)
            end += count

    # Every frame leaves through here; a peer that is gone ends the worker.
    def send(self, data):
        try:
            self.connection.sendall(data)
        except OSError:
            os._exit(0)

    def log(self, stream, lines):
        payload = bytearray()
        sent = []
        for line in lines:
            if self.log_room <= 0:
                break
            text = line.decode("utf-8", "backslashreplace")[:self.log_room]
            self.log_room -= len(line) + 1
            self.log_lines_left -= 1
            sent.append(text)
            if self.log_room <= 0 or self.log_lines_left <= 0:
                self.log_room = 0
                sent.append("(more output of this call is dropped)")
        if sent:
            list_head(payload, 1 + len(sent))
            encode_int(stream, payload)
            for text in sent:
                encode_str(text, payload)
            self.send(HEADER.pack(len(payload), LOG, 0, 0, self.call) + payload)

    def begin(self, call, memory):
        self.call = call
        self.printed = 0
        self.log_room = Limits.log_bytes
        self.log_lines_left = Limits.log_lines
        self.forks[0:4] = b"\0\0\0\0"
        if sys.stdout is not self.streams[0] or sys.stderr is not self.streams[1]:
            sys.stdout, sys.stderr = self.streams
        if memory != self.memory:
            self.memory = memory
            bound = self.base_memory + memory
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            if hard != resource.RLIM_INFINITY:
                bound = min(bound, hard)
            resource.setrlimit(resource.RLIMIT_AS, (bound, hard))

    def flush(self):
        """Sends what was printed without an end of line."""
        try:
            for stream in self.streams:
                stream.flush()
            for sender in self.senders:
                sender.finish()
        except BaseException:
            # It printed too much, or closed the stream: the next call starts with fresh ones.
            self.open_streams()

    def do_load(self, buffer, at, call, flags):
        (unit, digest, source_name, function, name, parameters, returns, source, memory), _ = decode(buffer, at)
        entry = self.units[unit] = Unit(name, source_name, parameters, returns, memory)
        self.begin(call, entry.memory)
        try:
            entry.function = self.load(entry, digest, source_name, function, source)
        except Failure as failure:
            entry.failure = failure
        self.flush()
        if flags & ANSWER:
            if entry.failure is not None:
                del self.units[unit]
                self.send(entry.failure.frame(call))
            else:
                self.send(HEADER.pack(1, REPLY, 0, 0, call) + b"\x90")

    def load(self, entry, digest, source_name, function, source):
        module = self.modules.get(digest)
        if module is None:
            module = types.ModuleType("procedure_" + digest[:16])
            module.__file__ = source_name
            try:
                text = bytes(source)
                code = compile(text, source_name, "exec", dont_inherit=True)
                sys.modules[module.__name__] = module
                exec(code, module.__dict__)
            except BaseException as error:
                sys.modules.pop(module.__name__, None)
                raise Failure(
                    exception_message(error), NOT_EXECUTED, raising_line(error, source_name),
                    "FailedPrecondition", FAILED_PRECONDITION) from None
            self.modules[digest] = module
        try:
            found = module.__dict__[function]
        except KeyError:
            raise Failure(
                "%s has no function '%s'" % (source_name, function), NOT_EXECUTED,
                source_name, "FailedPrecondition", FAILED_PRECONDITION) from None
        self.check_arity(entry, found, function, source_name)
        if inspect.iscoroutinefunction(found):
            import asyncio

            return lambda *arguments: asyncio.run(found(*arguments))
        return found

    def check_arity(self, entry, found, function, source_name):
        line = getattr(getattr(found, "__code__", None), "co_firstlineno", None)
        where = source_name if line is None else "%s:%d" % (source_name, line)
        if not callable(found):
            raise Failure("'%s' is %s, not a function" % (function, describe(found)), NOT_EXECUTED, where,
                          "FailedPrecondition", FAILED_PRECONDITION)
        try:
            signature = inspect.signature(found)
        except (TypeError, ValueError):
            return
        try:
            signature.bind(*entry.parameters)
        except TypeError:
            raise Failure(
                "%s%s does not take the %d arguments that are declared" % (
                    function, clip(str(signature), 200), len(entry.parameters)),
                NOT_EXECUTED, where, "FailedPrecondition", FAILED_PRECONDITION) from None

    def do_forget(self, buffer, at, call, flags):
        (units, digests), _ = decode(buffer, at)
        for unit in units:
            self.units.pop(unit, None)
        for digest in digests:
            module = self.modules.pop(digest, None)
            if module is not None:
                sys.modules.pop(module.__name__, None)

    def do_call(self, buffer, at, call, flags):
        entry = self.units[U32_LE.unpack_from(buffer, at)[0]]
        arguments, _ = decode(buffer, at + 8)
        self.begin(call, entry.memory)
        out = bytearray(16)
        replace = False
        try:
            if entry.failure is not None:
                raise entry.failure
            self.run(entry, arguments, out)
        except Failure as failure:
            replace = failure.replace
            out = failure.frame(call)
        else:
            HEADER.pack_into(out, 0, len(out) - 16, REPLY, 0, 0, call)
        if os.getpid() != self.pid:
            os._exit(0)
        self.flush()
        self.send(out)
        if len(out) > 1 << 20:
            del out
            gc.collect()

    def run(self, entry, arguments, out):
        if entry.converters is not None:
            arguments = [
                value if convert is None else convert(value)
                for value, convert in zip(arguments, entry.converters)]
        try:
            result = entry.function(*arguments)
        except MemoryError as error:
            raise Failure(
                "MemoryError: the call may use %d bytes" % entry.memory, EXECUTED,
                raising_line(error, entry.source_name), limit=entry.memory, actual=None,
                replace=True) from None
        except BaseException as error:
            source = raising_line(error, entry.source_name)
            message = exception_message(error)
            error.__traceback__ = None
            raise Failure(message, EXECUTED, source) from None
        self.encode(entry, result, out)

    def encode(self, entry, result, out):
        encoders = entry.encoders
        count = len(encoders)
        try:
            if count == 1:
                out.append(0x91)
                encoders[0](result, out)
            elif count == 0:
                if result is not None:
                    raise Mismatch
                out.append(0x90)
            else:
                if not isinstance(result, (tuple, list)) or len(result) != count:
                    raise Mismatch
                list_head(out, count)
                for encode, value in zip(encoders, result):
                    encode(value, out)
            check_size(out)
        except Mismatch:
            if count > 1 and isinstance(result, (tuple, list)):
                returned = ", ".join(map(describe, result[:64]))
            else:
                returned = describe(result)
            raise Failure(
                "%s returned [%s], but declares [%s]" % (entry.name, returned, ", ".join(entry.returns)),
                EXECUTED) from None
        except OverflowError as error:
            raise Failure(
                "%s returned %s, which does not fit an int: 64 bits, from %d to %d" % (
                    entry.name, show_int(error.args[0]), INT_MIN, INT_MAX), EXECUTED) from None
        except Unfit as error:
            raise Failure("%s returned %s" % (entry.name, error), EXECUTED) from None
        except TooLarge as error:
            raise Failure(
                "%s returned more than %d bytes" % (entry.name, Limits.output), EXECUTED, None,
                "ResourceExhausted", RESOURCE_EXHAUSTED, max(error.args[0], Limits.output + 1),
                Limits.output) from None
        except MemoryError:
            raise Failure(
                "MemoryError: the return values do not fit the %d bytes the call may use" % entry.memory,
                EXECUTED, replace=True) from None
        except Exception as error:
            raise Failure(
                "%s returned a value that cannot be read: %s" % (entry.name, exception_message(error)),
                EXECUTED) from None


U32_LE = struct.Struct("<I")


# MARK: Parent

class Parent:
    """Forks, kills and reaps workers; never runs a procedure."""

    def __init__(self, control):
        self.control = control
        self.pid = os.getpid()
        self.workers = {}
        self.ids = {}
        self.libc = None

    def run(self):
        self.prepare_process()
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.wakeup = wake_read, wake_write
        gc.collect()
        gc.freeze()
        self.tell(struct.pack("<cII", b"R", *sys.version_info[:2]))
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        while True:
            for ready, _ in poll.poll():
                if ready == wake_read:
                    try:
                        os.read(wake_read, 4096)
                    except BlockingIOError:
                        pass
                else:
                    self.receive()
            self.reap()

    def prepare_process(self):
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
            # Whoever signals the server's group means the server; the end of the control socket ends us.
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        try:
            import ctypes

            self.libc = ctypes.CDLL(None, use_errno=True)
            self.libc.prctl(15, b"rpc-python", 0, 0, 0)  # PR_SET_NAME
            self.libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans of workers come to us
        except Exception:
            self.libc = None
        try:
            import site

            site.main()
        except Exception:
            pass

    def tell(self, packet):
        try:
            self.control.send(packet)
        except OSError:
            self.end()

    def receive(self):
        try:
            packet, descriptors, _, _ = socket.recv_fds(self.control, 64, 1)
        except OSError:
            packet = b""
        if not packet:
            self.end()
        kind, worker = struct.unpack_from("<cI", packet)
        if kind == b"F" and descriptors:
            self.fork(worker, descriptors[0])
        elif kind == b"K":
            pid = self.workers.get(worker)
            if pid is not None:
                self.kill(pid)

    def fork(self, worker, descriptor):
        try:
            pid = os.fork()
        except OSError as error:
            os.close(descriptor)
            self.tell(struct.pack("<cII", b"E", worker, error.errno))
            return
        if pid == 0:
            try:
                self.become_worker(descriptor)
            finally:
                os._exit(70)
        os.close(descriptor)
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass
        self.workers[worker] = pid
        self.ids[pid] = worker
        self.tell(struct.pack("<cII", b"S", worker, pid))

    def become_worker(self, descriptor):
        os.setpgid(0, 0)
        if self.libc is not None:
            self.libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
            self.libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
            self.libc.prctl(36, 0, 0, 0, 0)
        if os.getppid() != self.pid:
            os._exit(0)
        signal.set_wakeup_fd(-1)
        for name in ("SIGCHLD", "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.control.close()
        for end in self.wakeup:
            os.close(end)
        null = os.open("/dev/null", os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        os.close(null)
        limit(resource.RLIMIT_CORE, 0)
        limit(resource.RLIMIT_NOFILE, Limits.files)
        limit(resource.RLIMIT_FSIZE, Limits.file_bytes)
        # Shared by everything this worker forks, so that a fork bomb counts in one place.
        forks = mmap.mmap(-1, mmap.PAGESIZE)
        sys.addaudithook(fork_guard(forks))
        sys.argv = ["procedure"]
        connection = socket.socket(fileno=descriptor)
        connection.setblocking(True)
        Worker(connection, forks).serve()

    def kill(self, pid):
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass

    def reap(self):
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            if pid in self.ids:
                # What it left in its group goes too, while its id cannot belong to anybody else yet.
                try:
                    os.killpg(pid, signal.SIGKILL)
                except OSError:
                    pass
            _, status = os.waitpid(pid, 0)
            worker = self.ids.pop(pid, None)
            if worker is not None:
                del self.workers[worker]
                code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
                number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
                self.kill_strays()
                self.tell(struct.pack("<cIii", b"X", worker, code, number))

    def kill_strays(self):
        """Descendants of workers that left their group came to us when their parent died."""
        try:
            with open("/proc/self/task/%d/children" % self.pid) as children:
                pids = [int(pid) for pid in children.read().split()]
        except OSError:
            return
        for pid in pids:
            if pid not in self.ids:
                self.kill(pid)

    def end(self):
        for pid in list(self.ids):
            self.kill(pid)
        # Reaping our workers makes their orphans ours: until there are none of either.
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            self.ids.pop(pid, None)
            self.kill_strays()
            if pid == 0:
                time.sleep(0.001)
        os._exit(0)


def limit(which, value):
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, hard))


def fork_guard(forks):
    """Bounds the processes that one call may start, over all its descendants."""
    watched = {"os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen"}

    def guard(event, _):
        if event in watched:
            count = U32.unpack_from(forks)[0] + 1
            U32.pack_into(forks, 0, count)
            if count > Limits.processes:
                raise OSError(errno.EAGAIN, "the call started more than %d processes" % Limits.processes)

    return guard


def main(arguments):
    for argument in arguments[1:]:
        name, _, value = argument.partition("=")
        setattr(Limits, name, int(value))
    os.chdir("/")
    control = socket.socket(fileno=int(arguments[0]))
    control.setblocking(True)
    Parent(control).run()


if __name__ == "__main__":
    main(sys.argv[1:])
