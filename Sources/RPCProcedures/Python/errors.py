"""What a caller is told when a procedure fails."""

from .protocol import ERROR, HEADER, REPLACE
from .spelling import clip
from .values import encode_any

UNKNOWN, RESOURCE_EXHAUSTED, FAILED_PRECONDITION = 2, 8, 9
NOT_EXECUTED, EXECUTED = 0, 2


class Error(Exception):
    """What a procedure that was called answered instead of values. Where nobody catches it, the caller of the procedure
    is told the same, so that a chain of calls does not wrap it once a link."""

    def __init__(self, fields):
        self.exception = fields["exception"]
        self.message = fields["message"]
        self.executed = ("no", "maybe", "yes")[fields.get("executed", 1)]
        super().__init__("%s: %s" % (self.exception, self.message))


def exception_message(error):
    """`ValueError: what it says`, whatever its own `__str__` does."""
    name = type(error).__qualname__
    try:
        if isinstance(error, Error):
            return clip(error.message if error.exception == "ExecutionException" else str(error))
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

    def frame(self, call, flags=0):
        payload = bytearray()
        encode_any(self.fields, payload)
        if self.replace:
            flags |= REPLACE
        return HEADER.pack(len(payload), ERROR, flags, self.status, call) + payload
