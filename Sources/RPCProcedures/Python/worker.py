"""A worker: it runs one call at a time."""

import gc
import io
import mmap
import os
import resource
import sys
import threading
import time

from .calls import UNMEASURED_SECONDS, LateOutput, ThreadWatch, leaves_children, leaves_descriptors
from .codec import decode, list_head
from .errors import EXECUTED, FAILED_PRECONDITION, NOT_EXECUTED, RESOURCE_EXHAUSTED, Failure, exception_message, raising_line
from .folders import empty, open_above
from .limits import Limits, bound
from .output import LineSender
from .protocol import ANSWERED, CALL, FORGET, HEADER, LATE, LOAD, LOG, REPLACE, REPLY, STANDARD_ERROR, \
    STANDARD_OUTPUT, UNIT
from .rpc import offer_rpc
from .sources import Unit, find_function, make_module
from .spelling import show_int
from .state import State
from .values import INT_MAX, INT_MIN, Mismatch, TooLarge, Unfit, check_size, describe, encode_int, encode_str

BUFFER_BYTES = 65536
UNTOUCHED = 0


class Worker:
    def __init__(self, connection, shared, changes, statm, folder, provision):
        self.connection = connection
        self.pid = os.getpid()
        self.shared = shared
        self.changes = changes
        self.statm = statm
        self.folder = folder
        self.provision = provision
        # Looking by a descriptor walks no path.
        self.folder_descriptor = folder and open_above(folder, os.O_RDONLY | os.O_DIRECTORY)
        self.empty_folder()
        self.units = {}
        self.modules = {}
        self.buffer = bytearray(BUFFER_BYTES)
        self.start = self.end = 0
        self.call = 0
        self.unit = 0
        self.is_calling = False
        # What came with the call besides its arguments, as it came: few procedures ask.
        self.context = b""
        self.thread = threading.get_ident()
        self.sending = threading.RLock()
        self.is_sending = False
        self.unsent = []
        self.printed = 0
        self.log_room = 0
        self.log_lines_left = 0
        self.late = LateOutput()
        self.memory = None
        self.is_full = False
        self.unmeasured = 0.0
        self.threads = ThreadWatch()
        self.original_state = self.state = State()
        self.open_streams()
        offer_rpc(self)

    def measure_memory(self):
        """What the interpreter, the modules and earlier calls take: a call's own memory comes on top."""
        fields = os.pread(self.statm, 256, 0).split()
        self.shared.base = int(fields[1]) * mmap.PAGESIZE
        self.base_data = int(fields[5]) * mmap.PAGESIZE
        self.unmeasured = 0.0
        self.memory = None

    def empty_folder(self):
        """Removes what a call wrote. The folder gets a time that no change gives it, so that looking costs one call."""
        if self.folder is None:
            return
        try:
            if os.stat(self.folder_descriptor).st_mtime_ns != UNTOUCHED:
                empty(self.folder)
                os.utime(self.folder, ns=(UNTOUCHED, UNTOUCHED))
        except OSError:
            pass

    def bound_memory(self, memory):
        """The parent watches what the call really uses. This bound is wider, for what is not used but counts, such
        as the stacks of threads; it turns an allocation that is far too large into a MemoryError."""
        self.memory = self.shared.bound = memory
        wanted = self.base_data + memory + Limits.memory_slack
        most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        # Where calls left so much behind that the next one has not its own room, the worker makes way.
        self.is_full = most != resource.RLIM_INFINITY and wanted > most
        with self.changes.unnoticed():
            bound(resource.RLIMIT_DATA, wanted)

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
        self.empty_folder()
        return self.threads.burn() or replace or self.is_full

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
            entry.function = self.function(entry, digest, source_name, function, source, flags & ANSWERED)
        except Failure as failure:
            entry.failure = failure
        self.unmeasured += time.monotonic() - began
        self.flush()
        if flags & ANSWERED:
            flags = REPLACE if self.tidy_up() or self.provision.problem else 0
            if entry.failure is not None:
                del self.units[unit]
                self.answer(entry.failure.frame(call, flags))
            else:
                self.answer(HEADER.pack(1, REPLY, flags, 0, call) + b"\x90")

    def function(self, entry, digest, source_name, function, source, is_new):
        """The function that calls of `entry` run. A source becomes a module once."""
        if self.provision.problem is not None:
            raise Failure(self.provision.problem, NOT_EXECUTED, None, "FailedPrecondition", FAILED_PRECONDITION)
        module, _ = self.modules.get(digest, (None, None))
        if module is None:
            module = make_module(digest, source_name, bytes(source))
            entry.state = self.state = State()
            self.changes.seen = False
            self.changes.variables.clear()
            self.modules[digest] = module, entry.state
            self.memory = None
            self.threads.keep()
        return find_function(module, entry, function, source_name, is_new)

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
        arguments, end = decode(self.buffer, at + 8)
        # `start` is where the next frame begins.
        self.context = bytes(self.buffer[end:self.start]) if end < self.start else b""
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
        flags = REPLACE if self.tidy_up() or self.provision.problem else 0
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
            raise Failure(message, EXECUTED, source, replace=leaves_descriptors()) from None
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
