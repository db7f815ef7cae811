"""What answers where an rpc-server was expected: a wrong port is the most frequent mistake, and its bytes read as a frame say
nothing to anybody."""

import json
from typing import Optional

from .frames import HELLO

#: As much of a foreign answer as is looked at, and as is shown, in bytes.
_READ_MAX, _SHOWN_MAX = 2048, 120


def recognise(data: bytes) -> Optional[str]:
    """What answered, in words, by its first bytes; None where they may be the beginning of frames."""
    start = data[:14].lower()
    if start.startswith((b"http/", b"<!doctype html", b"<html")):
        return "an HTTP server answered"
    if data.startswith(b"SSH-"):
        return "an SSH server answered"
    # A TLS record: an alert or a handshake, and the version 3.x. As a frame it would be no HELLO.
    if len(data) >= 5 and data[0] in (21, 22) and data[1] == 3 and data[4] != HELLO:
        return "a TLS server answered"
    # Four letters as a length are half a gigabyte and more: no HELLO.
    if len(data) < 4 or not all(0x20 <= byte < 0x7F for byte in data[:4]):
        return None
    line = data[:_READ_MAX].split(b"\n")[0].decode("utf-8", "replace").strip()
    try:
        return f"it answered with a line of JSON: {json.loads(line)['value']['exception-message']}"
    except (ValueError, LookupError, TypeError, RecursionError):
        return f"it answered {line[:_SHOWN_MAX]!r}"
