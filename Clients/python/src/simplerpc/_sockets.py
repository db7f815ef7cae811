"""What both clients say and do about sockets."""

import os
import socket

#: Seconds that calls wait for a server before another provider is connected to as well: RFC 8305's connection attempt delay.
ATTEMPT_DELAY = 0.25
#: Bytes that are read from a socket at once.
READ_BYTES = 256 * 1024


def from_source(source: tuple[str, int], family: int) -> socket.socket:
    """A socket with the registered local address, which may just have been in use."""
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(source)
    except BaseException:
        opened.close()
        raise
    return opened


def plain_reason(error: BaseException) -> str:
    """The reason as it stands inside a sentence: `connection refused`."""
    if isinstance(error, socket.gaierror):
        return str(error.strerror or error).lower()
    if isinstance(error, OSError) and error.errno:
        text = os.strerror(error.errno)
        return text[:1].lower() + text[1:]
    return str(error) or type(error).__name__
