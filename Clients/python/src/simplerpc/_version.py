"""The version of the checkout; what is built from it has the number here instead (setup.py)."""

import pathlib
import re

_RELEASE = "Sources/RPCWire/Release.swift"


def _read() -> str:
    path = pathlib.Path(__file__).resolve().parents[4] / _RELEASE
    try:
        found = re.search(r'let version = "([0-9.]+)"', path.read_text(encoding="utf-8"))
    except OSError:
        found = None
    if found is None:
        raise ImportError(f"this copy of simplerpc is not whole: install its wheel, or use it in a checkout, which has {_RELEASE}")
    return found[1]


__version__ = _read()
