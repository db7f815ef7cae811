"""What a call may fail with (Docs/PROTOCOL.md, section 7)."""

from typing import Any, Optional

EXECUTED = ("no", "maybe", "yes")


class RPCError(Exception):
    """Why a call returned nothing.

    `exception` is the name that the protocol gives it, `message` is for people, and `status` is the number of the gRPC status
    beside it. `executed` is "no", "maybe" or "yes": whether repeating the call is safe. Where they are known, `source` is where
    the procedure raised (`file:line`), `actual`, `limit` and `unit` say which bound was crossed, `retry_after_ms` when the
    server expects to take the call, and `server` which one it was.
    """

    name = "ExecutionException"
    status = 2
    #: What `executed` is unless the server, or the client, knows better.
    usually = "no"

    def __init__(
        self,
        message: str,
        *,
        executed: Optional[str] = None,
        exception: Optional[str] = None,
        status: Optional[int] = None,
        source: Optional[str] = None,
        actual: Optional[int] = None,
        limit: Optional[int] = None,
        unit: Optional[str] = None,
        retry_after_ms: Optional[int] = None,
        server: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exception = exception or type(self).name
        self.executed = executed or type(self).usually
        if status is not None:
            self.status = status
        self.source, self.actual, self.limit, self.unit = source, actual, limit, unit
        self.retry_after_ms, self.server = retry_after_ms, server

    def __str__(self) -> str:
        return f"{self.exception}: {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.message, dict(self.__dict__))


def _again(kind: type[RPCError], message: str, state: dict[str, Any]) -> RPCError:
    """An error that was pickled, since OSError among the bases has a way of its own."""
    error = kind(message)
    error.__dict__.update(state)
    return error


class ServiceNotFound(RPCError):
    """This server does not provide the service, or no server is known to."""

    name, status = "ServiceNotFound", 5


class RPCNotFound(RPCError):
    """The service has no procedure of that name; the message has the nearest ones."""

    name, status = "RPCNotFound", 5


class InvalidArguments(RPCError):
    """No overload takes these arguments, or they cannot travel; the message has every valid signature, or the argument."""

    name, status = "InvalidArguments", 3


class ClientNotRegistered(RPCError):
    """The caller is no tenant of the service."""

    name, status = "ClientNotRegistered", 7


class ExecutionException(RPCError):
    """The procedure raised. An exception of a later version of the protocol is one too, by its own name."""

    name, status, usually = "ExecutionException", 2, "yes"


class DeadlineExceeded(RPCError, TimeoutError):
    """The time of the call, or of the procedure, was over."""

    name, status, usually = "DeadlineExceeded", 4, "maybe"


class Cancelled(RPCError):
    """The call was given up, or the client was closed."""

    name, status, usually = "Cancelled", 1, "maybe"


class Unavailable(RPCError):
    """The server cannot be reached, goes away, or has stopped answering."""

    name, status = "Unavailable", 14


class ResourceExhausted(RPCError):
    """A limit was crossed: `actual`, `limit` and `unit` say which."""

    name, status = "ResourceExhausted", 8


class Unauthenticated(RPCError):
    """Somebody is not who they should be: the client to the server, or the server to the client."""

    name, status = "Unauthenticated", 16


class ProtocolError(RPCError):
    """One side broke the protocol; the message says how."""

    name, status = "ProtocolError", 13


class StaleBinding(RPCError):
    """Procedures were replaced; the client binds again by itself, so callers do not see it."""

    name, status = "StaleBinding", 10


class FailedPrecondition(RPCError):
    """A deployment that cannot be applied as it stands, or something that this server does not have."""

    name, status = "FailedPrecondition", 9


class MissingExtra(ImportError):
    """Something needs a package that is not installed."""

    def __init__(self, what: str, extra: str, package: str) -> None:
        super().__init__(f"{what} need{'' if what.endswith('s') else 's'} the package {package}: pip install 'simplerpc[{extra}]'")


def copy(error: RPCError, executed: Optional[str] = None) -> RPCError:
    """The same error for another call, which may have been executed or not."""
    again = _again(type(error), error.message, error.__dict__)
    if executed is not None:
        again.executed = executed
    return again


_KINDS: dict[str, type[RPCError]] = {
    kind.name: kind
    for kind in (
        ServiceNotFound, RPCNotFound, InvalidArguments, ClientNotRegistered, ExecutionException, DeadlineExceeded, Cancelled,
        Unavailable, ResourceExhausted, Unauthenticated, ProtocolError, StaleBinding, FailedPrecondition,
    )
}  # fmt: skip


def from_fields(fields: Any, status: int) -> RPCError:
    """The error that the payload of an ERROR stands for. Raises ValueError where it is none."""
    if not isinstance(fields, dict):
        raise ValueError("an ERROR must be a map")
    name, message = fields.get("exception"), fields.get("message")
    if not isinstance(name, str) or not isinstance(message, str):
        raise ValueError("an ERROR without exception or message")
    kind = _KINDS.get(name, ExecutionException)
    executed = fields.get("executed", 1)
    known: dict[str, Any] = {}
    for key, wanted in (("source", str), ("actual", int), ("limit", int), ("unit", str), ("retry_after_ms", int)):
        if isinstance(fields.get(key), wanted):
            known[key] = fields[key]
    return kind(
        message, exception=name, status=status, executed={0: "no", 2: "yes"}.get(executed, "maybe") if type(executed) is int else "maybe",
        **known,
    )  # fmt: skip
