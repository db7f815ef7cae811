"""A client of SimpleRPC servers: blocking (`Client`) and for asyncio (`AsyncClient`), with nothing but the standard library.

    from simplerpc import Client, RPCError

    with Client("127.0.0.1:8282") as client:
        print(client.call("math.add", 1, 2))

The protocol is documented in Docs/PROTOCOL.md of the project.
"""

from ._version import __version__
from .aio import AsyncClient
from .blocking import Client
from .errors import (
    Cancelled,
    ClientNotRegistered,
    DeadlineExceeded,
    ExecutionException,
    FailedPrecondition,
    InvalidArguments,
    MissingExtra,
    ProtocolError,
    ResourceExhausted,
    RPCError,
    RPCNotFound,
    ServiceNotFound,
    Unauthenticated,
    Unavailable,
)
from .keys import BadKey, PrivateKey, PublicKey
from .policy import NO_RETRY, Backoff, RetryPolicy
from .topology import Identity, Server, Topology
from .values import Value

__all__ = [
    "AsyncClient",
    "Backoff",
    "BadKey",
    "Cancelled",
    "Client",
    "ClientNotRegistered",
    "DeadlineExceeded",
    "ExecutionException",
    "FailedPrecondition",
    "Identity",
    "InvalidArguments",
    "MissingExtra",
    "NO_RETRY",
    "PrivateKey",
    "ProtocolError",
    "PublicKey",
    "RPCError",
    "RPCNotFound",
    "ResourceExhausted",
    "RetryPolicy",
    "Server",
    "ServiceNotFound",
    "Topology",
    "Unauthenticated",
    "Unavailable",
    "Value",
    "__version__",
]
