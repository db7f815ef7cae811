"""How connections behave."""

from typing import Optional

from ._version import __version__
from .frames import FRAME_BYTES
from .keys import PrivateKey


class Options:
    """How a client's connections behave. Times are in seconds, 0 for never.

    `keepalive` is the silence with calls in flight after which a server gets a PING, and how long it has to answer before the
    connection is given up. `ping_interval` is the same without calls in flight, where the server has no wish of its own.
    """

    __slots__ = ("identity", "key", "agent", "frame_bytes", "keepalive", "ping_interval", "ping_timeout", "connect_timeout")

    def __init__(
        self,
        identity: Optional[str] = None,
        key: Optional[PrivateKey] = None,
        *,
        agent: str = f"simplerpc-python/{__version__}",
        frame_bytes: int = FRAME_BYTES,
        keepalive: float = 5.0,
        ping_interval: float = 10.0,
        ping_timeout: float = 10.0,
        connect_timeout: float = 5.0,
    ) -> None:
        self.identity, self.key, self.agent, self.frame_bytes = identity, key, agent, frame_bytes
        self.keepalive, self.ping_interval, self.ping_timeout = keepalive, ping_interval, ping_timeout
        self.connect_timeout = connect_timeout
