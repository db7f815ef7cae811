"""How values and texts are shown in messages."""

import re

MESSAGE_CHARACTERS = 8192

# In the representations of objects; where things are in memory is nobody's business.
ADDRESS = re.compile(r" at 0x[0-9a-f]{9,16}(?=[ >:,)])")


def clip(text, limit=MESSAGE_CHARACTERS):
    text = text.encode("utf-8", "backslashreplace").decode()
    if "0x" in text:
        text = ADDRESS.sub("", text)
    return text if len(text) <= limit else text[:limit] + "… (%d characters in all)" % len(text)


def short_repr(value):
    try:
        return clip(repr(value), 80)
    except BaseException:
        return "<%s>" % type(value).__name__


def show_int(v):
    return str(v) if v.bit_length() < 200 else "an int of %d bits" % v.bit_length()
