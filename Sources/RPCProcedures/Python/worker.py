"""Runs Python procedures for SimpleRPC: one warm parent process that forks workers.

The program is this with calls, output, rpc, codec, values, errors, state, processes, namespaces, guardian and parent,
one behind the other in one file. The parent never runs a procedure's code. It forks a worker when told to, kills one when
told to, looks after them when asked, and reports each one's end. A worker runs one call at a time. Both use the
standard library only.

Control dialect, between server and parent: a SOCK_SEQPACKET socket, one little-endian packet a message.

    to the parent    F id u32, one descriptor   fork a worker that serves this socket
                     K id u32                   kill that worker and all processes that it started
                     P serial u32, then of each worker: id u32, calls u32 (begun so far), busy u32 (0 or 1)
                                                look after the workers, and answer
    from the parent  R major u32, minor u32, private u32
                                                ready, under this version of Python, with process ids of its own or not
                     P serial u32               the answer
                     M id u32, used u64, bound u64   the call uses more memory than its bound; the worker is killed
                     L id u32                   processes or threads of finished calls go on in that idle worker
                     S id u32, pid u32          the worker runs
                     E id u32, errno u32        the worker could not be forked
                     O id u32, bytes            what it wrote to the descriptors 1 and 2 themselves
                     V id u32, count u32        how many bytes it wrote there since the last V
                     X id u32, status i32, signal i32   the worker ended: exit status, or the signal that ended
                                                or stopped it

Worker dialect, over a stream socket: the frames of the network protocol, `length u32 | kind u8 | flags u8 |
status u16 | call id u64`, then the payload. CALL, REPLY and ERROR are the network's own, with these beside:

    to the worker    LOAD 64     [unit, digest, source name, function, procedure, [parameter types],
                                 [return types], source or nil, memory bytes or nil]: makes `unit` callable as
                                 the procedure id of CALL. With flag 1 it is answered: REPLY [] or ERROR.
                                 Without, a failure is what the unit's calls answer.
                     FORGET 65   [[unit...], [digest...]]
                     ANSWER 68   to ASK: the list of values, or with flag 1 a map as in ERROR
    from the worker  LOG 66      [stream, line...] of the call: 1 standard output, 2 standard error, 3 rpc.log.
                                 With flag 1 of a call that was answered before: the call id is its unit.
                     ASK 67      [server or nil, "service.procedure", argument...]: the call in progress calls
                     REPLY or ERROR with flag 1: the worker has to be replaced, for what the call left behind

A worker and the parent share a page, `Shared`.

A worker ends when its socket does, and the parent ends, with its workers, when the control socket does.
"""

import os
import sys

sys.dont_write_bytecode = True

import gc
import inspect
import mmap
import resource
import struct
import threading
import time
import types

HEADER = struct.Struct("<IBBHQ")
UNIT = struct.Struct("<I")
CALL, REPLY, ERROR = 4, 5, 6
LOAD, FORGET, LOG, ASK, ANSWER = 64, 65, 66, 67, 68
ANSWERED = REPLACE = FAILED = LATE = 1
STANDARD_OUTPUT, STANDARD_ERROR, RPC_LOG = 1, 2, 3
BUFFER_BYTES = 65536


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
        # What the top level of its source left, of what `State` keeps.
        self.state = None


class Worker:
    def __init__(self, connection, shared, changes):
        self.connection = connection
        self.pid = os.getpid()
        self.shared = shared
        self.changes = changes
        self.units = {}
        self.modules = {}
        self.buffer = bytearray(BUFFER_BYTES)
        self.start = self.end = 0
        self.call = 0
        self.unit = 0
        self.is_calling = False
        self.thread = threading.get_ident()
        self.sending = threading.RLock()
        self.is_sending = False
        self.unsent = []
        self.printed = 0
        self.log_room = 0
        self.log_lines_left = 0
        self.late = LateOutput()
        self.memory = None
        self.unmeasured = 0.0
        self.threads = ThreadWatch()
        self.original_state = self.state = State()
        self.open_streams()
        offer_rpc(self)

    def measure_memory(self):
        """What the interpreter, the modules and earlier calls take: a call's own memory comes on top."""
        with open("/proc/self/statm", "rb", 0) as statm:
            fields = statm.read(256).split()
        self.shared.base = int(fields[1]) * mmap.PAGESIZE
        self.base_data = int(fields[5]) * mmap.PAGESIZE
        self.unmeasured = 0.0
        self.memory = None

    def bound_memory(self, memory):
        """The parent watches what the call really uses. This bound is wider, for what is not used but counts, such
        as the stacks of threads; it turns an allocation that is far too large into a MemoryError."""
        self.memory = self.shared.bound = memory
        bound = self.base_data + memory + Limits.memory_slack
        with self.changes.unnoticed():
            limit(resource.RLIMIT_DATA, bound)

    def open_streams(self):
        self.senders = LineSender(self, STANDARD_OUTPUT), LineSender(self, STANDARD_ERROR)
        self.streams = [
            io.TextIOWrapper(io.BufferedWriter(sender, 8192), encoding="utf-8", errors="backslashreplace",
                             line_buffering=True)
            for sender in self.senders]

    def serve(self):
        handlers = {CALL: self.do_call, LOAD: self.do_load, FORGET: self.do_forget}
        while True:
            kind, flags, call, at = self.receive()
            handlers[kind](at, call, flags)
            if os.getpid() != self.pid:
                os._exit(0)

    def receive(self):
        """The next frame's kind, flags and call id, and where in the buffer its payload is until the next."""
        while True:
            have = self.end - self.start
            needed = BUFFER_BYTES
            if have >= 16:
                length, kind, flags, _, call = HEADER.unpack_from(self.buffer, self.start)
                if have >= 16 + length:
                    at = self.start + 16
                    self.start = at + length
                    return kind, flags, call, at
                needed = max(needed, 16 + length)
            if needed > len(self.buffer) or not have and len(self.buffer) > BUFFER_BYTES:
                grown = bytearray(needed)
                grown[:have] = self.buffer[self.start:self.end]
                self.buffer = grown
            elif have:
                self.buffer[:have] = self.buffer[self.start:self.end]
            self.start, self.end = 0, have
            with memoryview(self.buffer) as view:
                count = self.connection.recv_into(view[have:])
            if count == 0:
                os._exit(0)
            self.end += count

    def send(self, data):
        """Every frame leaves through here, whole, whatever thread or signal handler sends it. A peer that is gone ends
        the worker."""
        with self.sending:
            self.unsent.append(data)
            if self.is_sending:
                # A signal handler printed while this thread was sending: behind that.
                return
            self.is_sending = True
            try:
                while self.unsent:
                    self.connection.sendall(self.unsent.pop(0))
            except OSError:
                os._exit(0)
            except BaseException:
                # A signal handler raised: nobody knows how much of the frame has left.
                os._exit(70)
            self.is_sending = False

    def log(self, stream, lines):
        with self.sending:
            owner = self.threads.owner(self)
            if owner is None:
                return
            call, unit = owner
            if call != self.call or not call:
                lines = self.late.passed(lines)
                if lines:
                    self.send_lines(stream, lines, LATE, unit)
                return
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
                self.send_lines(stream, sent, 0, call)

    def send_lines(self, stream, lines, flags, call):
        payload = bytearray()
        list_head(payload, 1 + len(lines))
        encode_int(stream, payload)
        for text in lines:
            encode_str(text, payload)
        self.send(HEADER.pack(len(payload), LOG, flags, 0, call) + payload)

    def answer(self, frame):
        """Ends the call: what its threads print from now on is late."""
        with self.sending:
            self.send(frame)
            self.call = 0

    def begin(self, call, unit, entry):
        self.call = call
        self.unit = unit
        self.printed = 0
        self.log_room = Limits.log_bytes
        self.log_lines_left = Limits.log_lines
        self.shared.start_call()
        if sys.stdout is not self.streams[0] or sys.stderr is not self.streams[1]:
            sys.stdout, sys.stderr = self.streams
        state = entry.state or self.original_state
        if state is not self.state:
            self.state = state
            state.put_back(self.changes)
        if self.memory is None or self.unmeasured > UNMEASURED_SECONDS:
            self.measure_memory()
        if entry.memory != self.memory:
            self.bound_memory(entry.memory)

    def tidy_up(self):
        """Puts back what the call changed. Returns whether the worker has to be replaced for what the call left."""
        changes = self.changes
        state = self.state
        replace = False
        if changes.seen or changes.is_unsure or changes.cannot_be_undone or sys.path != state.path:
            replace = not state.put_back(changes)
        if (self.shared.forks or changes.is_unsure) and leaves_children():
            replace = True
        return self.threads.burn() or replace

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

    def do_load(self, at, call, flags):
        (unit, digest, source_name, function, name, parameters, returns, source, memory), _ = decode(self.buffer, at)
        entry = self.units[unit] = Unit(name, source_name, parameters, returns, memory)
        if digest in self.modules:
            entry.state = self.modules[digest][1]
        # Without an answer it is part of the call that follows, which has the same id.
        self.begin(call, unit, entry)
        began = time.monotonic()
        try:
            entry.function = self.load(entry, digest, source_name, function, source)
        except Failure as failure:
            entry.failure = failure
        self.unmeasured += time.monotonic() - began
        self.flush()
        if flags & ANSWERED:
            flags = REPLACE if self.tidy_up() else 0
            if entry.failure is not None:
                del self.units[unit]
                self.answer(entry.failure.frame(call, flags))
            else:
                self.answer(HEADER.pack(1, REPLY, flags, 0, call) + b"\x90")

    def load(self, entry, digest, source_name, function, source):
        module, _ = self.modules.get(digest, (None, None))
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
            entry.state = self.state = State()
            self.changes.seen = False
            self.changes.variables.clear()
            self.modules[digest] = module, entry.state
            self.memory = None
            self.threads.keep()
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

    def do_forget(self, at, call, flags):
        (units, digests), _ = decode(self.buffer, at)
        for unit in units:
            self.units.pop(unit, None)
        for digest in digests:
            module, _ = self.modules.pop(digest, (None, None))
            if module is not None:
                sys.modules.pop(module.__name__, None)

    def do_call(self, at, call, flags):
        unit = UNIT.unpack_from(self.buffer, at)[0]
        entry = self.units[unit]
        arguments, _ = decode(self.buffer, at + 8)
        self.begin(call, unit, entry)
        began = time.monotonic()
        out = bytearray(16)
        failed = None
        try:
            if entry.failure is not None:
                raise entry.failure
            self.run(entry, arguments, out)
        except Failure as failure:
            failed = failure
        if os.getpid() != self.pid:
            # A procedure forked, and its child came back here: it must not answer a second time.
            os._exit(0)
        self.unmeasured += time.monotonic() - began
        # First of all, so that no alarm of the call goes off in the middle of its answer.
        flags = REPLACE if self.tidy_up() else 0
        self.flush()
        if failed is None:
            HEADER.pack_into(out, 0, len(out) - 16, REPLY, flags, 0, call)
        else:
            out = failed.frame(call, flags)
        self.answer(out)
        if len(out) > 1 << 20:
            del out
            gc.collect()

    def run(self, entry, arguments, out):
        if entry.converters is not None:
            arguments = [
                value if convert is None else convert(value)
                for value, convert in zip(arguments, entry.converters)]
        self.is_calling = True
        try:
            result = entry.function(*arguments)
        except MemoryError as error:
            raise Failure(
                "MemoryError: the call may use %d bytes" % entry.memory, EXECUTED,
                raising_line(error, entry.source_name), replace=True) from None
        except BaseException as error:
            source = raising_line(error, entry.source_name)
            message = exception_message(error)
            error.__traceback__ = None
            raise Failure(message, EXECUTED, source) from None
        finally:
            self.is_calling = False
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
