"""What a connection tells its owner."""

from typing import Any, Union

from .errors import RPCError
from .request import Request


class Answered:
    """A call returned these values."""

    __slots__ = ("request", "values")

    def __init__(self, request: Request, values: tuple[Any, ...]) -> None:
        self.request, self.values = request, values


class Failed:
    """A call failed. With `never_began` the server has certainly not begun it, and goes away: it may go elsewhere at once."""

    __slots__ = ("request", "error", "never_began")

    def __init__(self, request: Request, error: RPCError, never_began: bool = False) -> None:
        self.request, self.error, self.never_began = request, error, never_began


class Ready:
    """The server has introduced itself, and knows the client's key where it has one."""


class Generation:
    """Other procedures are in force."""

    __slots__ = ("serial",)

    def __init__(self, serial: int) -> None:
        self.serial = serial


class Draining:
    """The server goes away: it answers what it has and takes no more."""

    __slots__ = ("error",)

    def __init__(self, error: RPCError) -> None:
        self.error = error


class Ended:
    """The connection is of no use any more. Its calls have failed before."""

    __slots__ = ("error",)

    def __init__(self, error: RPCError) -> None:
        self.error = error


class Pong:
    """The server answered the PING of this token, after so many seconds."""

    __slots__ = ("token", "seconds")

    def __init__(self, token: object, seconds: float) -> None:
        self.token, self.seconds = token, seconds


Event = Union[Answered, Failed, Ready, Generation, Draining, Ended, Pong]
