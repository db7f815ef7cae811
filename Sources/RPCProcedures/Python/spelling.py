"""How values and texts are shown in messages."""

import re
import sys

from .limits import Limits

# In the representations of objects; where things are in memory is nobody's business.
ADDRESS = re.compile(r" at 0x[0-9a-f]{9,16}(?=[ >:,)])")


def without_places(text):
    """Callers are not told either where the interpreter keeps its modules."""
    places = [place for place in sys.path if isinstance(place, str) and place[:1] == "/" and len(place) > 1]
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(place + "/", "")
    return text


def clip(text, limit=None):
    limit = limit or Limits.message_characters
    text = text.encode("utf-8", "backslashreplace").decode()
    if "0x" in text:
        text = ADDRESS.sub("", text)
    if "/" in text:
        text = without_places(text)
    return text if len(text) <= limit else text[:limit] + "… (%d characters in all)" % len(text)


def short_repr(value):
    try:
        return clip(repr(value), 80)
    except BaseException:
        return "<%s>" % type(value).__name__


def show_int(v):
    return str(v) if v.bit_length() < 200 else "an int of %d bits" % v.bit_length()
