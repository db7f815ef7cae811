"""A call as connections see it."""

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from .protocol import Connection


#: Service, procedure, types of the arguments, and of the results where they are asked for.
Name = tuple[str, str, tuple[str, ...], Optional[tuple[str, ...]]]


class Request:
    """A call as connections see it: which procedure, the arguments as bytes, and until when. One that failed on a connection
    may be given to another."""

    __slots__ = ("binding", "body", "metadata", "deadline", "repeated", "call_id", "bound", "idempotent", "rebinds", "connection")

    def __init__(
        self,
        binding: Name,
        body: bytes,
        metadata: bytes = b"",
        deadline: Optional[float] = None,
    ) -> None:
        self.binding, self.body, self.metadata, self.deadline = binding, body, metadata, deadline
        self.repeated = False
        #: Set while the call is on the wire.
        self.call_id = 0
        self.bound: Optional["Binding"] = None
        #: Whether the procedure is declared so, once that is known.
        self.idempotent = False
        self.rebinds = 0
        #: The connection that has it now.
        self.connection: Optional["Connection"] = None

    @property
    def name(self) -> str:
        return f"{self.binding[0]}.{self.binding[1]}"


class Binding:
    """A procedure's id on a connection; without one its BIND is on its way, for the calls in `first`. Those in `later` came
    after it left."""

    __slots__ = ("id", "idempotent", "first", "later")

    def __init__(self, first: list[Request]) -> None:
        self.id: Optional[int] = None
        self.idempotent = False
        self.first = first
        self.later: list[Request] = []
