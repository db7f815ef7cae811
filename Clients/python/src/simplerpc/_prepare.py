"""What callers write, as connections take it."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional, Union

from .errors import InvalidArguments
from .frames import ARITY_MAX, METADATA_BYTES_MAX
from .keys import PrivateKey, PublicKey, check_pin, require
from .options import Options
from .policy import RetryPolicy
from .request import Name
from .tls import Certificate, Contexts
from .topology import Identity, Server, Topology, split_name
from .values import describe, pack, pack_arguments

#: A longer timeout means none: a year.
TIMEOUT_MAX = 365 * 86400.0
#: Names whose halves are remembered.
_NAMES_MAX = 4096
_names: dict[str, tuple[str, str]] = {}


def prepare(
    name: str,
    arguments: tuple[Any, ...],
    timeout: Optional[float],
    types: Optional[Sequence[str]],
    returns: Optional[Sequence[str]],
    metadata: Optional[Mapping[str, Any]],
) -> tuple[Name, bytes, bytes, Optional[float]]:
    """What a Request is made of. Raises InvalidArguments for what cannot travel."""
    halves = _names.get(name)
    if halves is None:
        halves = split_name(name)
        if len(_names) >= _NAMES_MAX:
            _names.clear()
        _names[name] = halves
    try:
        described = tuple(map(describe, arguments)) if types is None else tuple(types)
        body = pack_arguments(arguments)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _cannot_travel(name, arguments, error) from None
    for count in (len(described), 0 if returns is None else len(returns)):
        if count > ARITY_MAX:
            raise InvalidArguments(f"{count} types, the limit is {ARITY_MAX}", actual=count, limit=ARITY_MAX, unit="types")
    if len(described) != len(arguments):
        raise InvalidArguments(f"{len(described)} types for {len(arguments)} arguments of {name}")
    extra = b""
    if metadata:
        try:
            extra = pack(dict(metadata))
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidArguments(f"the metadata of {name}: {error}") from None
        if len(extra) > METADATA_BYTES_MAX:
            text = f"metadata of {len(extra)} bytes, the limit is {METADATA_BYTES_MAX}"
            raise InvalidArguments(text, actual=len(extra), limit=METADATA_BYTES_MAX, unit="bytes")
    deadline = None
    if timeout is not None and timeout < TIMEOUT_MAX:
        deadline = time.monotonic() + timeout
    return (*halves, described, None if returns is None else tuple(returns)), body, extra, deadline


def _cannot_travel(name: str, arguments: tuple[Any, ...], error: BaseException) -> InvalidArguments:
    for number, argument in enumerate(arguments, 1):
        try:
            describe(argument)
            pack(argument)
        except (TypeError, ValueError, OverflowError) as problem:
            return InvalidArguments(f"argument {number} of {name}: {problem}")
    return InvalidArguments(f"the arguments of {name}: {error}")


def plain(values: tuple[Any, ...]) -> Any:
    """What a call returns: one value plainly, several as a tuple, none as None."""
    return values[0] if len(values) == 1 else values or None


class Settings(NamedTuple):
    """What a client was made with."""

    topology: Topology
    #: Whether the servers are asked what they provide.
    discovers: bool
    #: Whether any server is asked for the network that it is of.
    learns: bool
    options: Options
    identity: Optional[Identity]
    retry: RetryPolicy
    timeout: Optional[float]
    contexts: Contexts

    @property
    def source(self) -> Optional[tuple[str, int]]:
        return self.identity.source if self.identity is not None else None


Servers = Union[Topology, Server, str, Sequence[Union[Server, str]]]


def settings(
    servers: Servers,
    port: Optional[Union[int, str]],
    *,
    identity: Optional[str],
    key: Optional[Union[PrivateKey, str]],
    server_key: Optional[Any],
    pin: Optional[str],
    ca: Optional[str],
    certificate: Optional[Union[str, Certificate]],
    timeout: Optional[float],
    retry: Union[RetryPolicy, int],
    connect_timeout: float,
    keepalive: float,
    frame_bytes: int,
    network: bool,
) -> Settings:
    if isinstance(server_key, str):
        server_key = PublicKey.parse(server_key)
    topology = Topology.of(servers, port, key=server_key, pin=check_pin(pin) if pin else None, ca=ca)
    if isinstance(key, str):
        key = PrivateKey.load(key)
    if any(server.key is not None and not server.secure for server in topology.servers):
        require()
    if isinstance(certificate, str):
        certificate = (certificate, certificate)
    if isinstance(retry, int):
        retry = RetryPolicy(attempts=retry)
    if not connect_timeout > 0 or keepalive < 0:
        raise ValueError("connect_timeout must be above 0 and keepalive not below")
    known: Optional[Identity] = topology.clients.get(identity) if identity is not None else None
    options = Options(identity, key, frame_bytes=frame_bytes, keepalive=keepalive, connect_timeout=connect_timeout)
    if network and topology.services is not None:
        raise ValueError("a topology that says who provides what is the network: give network=True with addresses")
    discovers = network or topology.services is None and len(topology.servers) > 1
    contexts = Contexts(certificate, key)
    for server in topology.servers:
        if server.secure:
            contexts.prepare(server)
    return Settings(topology, discovers, network, options, known, retry, timeout, contexts)
