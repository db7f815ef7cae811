"""Declared types: arguments made exactly those, return values checked and encoded in one pass."""

import array

from .codec import F64, NATIVE_IS_LITTLE, SMALL, head, list_head, map_head, pack_int
from .limits import Limits
from .spelling import short_repr, show_int

INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1
DEPTH_MAX = 64


class Mismatch(Exception):
    """A value that does not have its declared type."""


class Unfit(Exception):
    """A value that no declared type takes; says what it is."""


class TooLarge(Exception):
    """Return values that do not fit a frame."""


def parse_type(text):
    """`Dict[str, List[int]]` as `("Dict", ("List", ("int", None)))`; the server spells it canonically."""
    if text.startswith("Dict[str, "):
        return "Dict", parse_type(text[10:-1])
    if text.endswith("]"):
        name, _, inner = text[:-1].partition("[")
        return name, parse_type(inner)
    return text, None


def describe(value, depth=0):
    """The type of a value in the spelling of declarations; what has none there shows its Python name."""
    kind = type(value)
    if value is None:
        return "None"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "str"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes"
    if isinstance(value, (list, tuple)) and depth < 8:
        return "List[%s]" % describe_all(value, depth)
    if isinstance(value, dict) and depth < 8:
        return "Dict[str, %s]" % describe_all(value.values(), depth)
    return kind.__name__


def describe_all(values, depth):
    names = []
    for value in values:
        name = describe(value, depth + 1)
        if name not in names:
            names.append(name)
        if len(names) > 3:
            break
    if sorted(names) == ["float", "int"]:
        return "float"
    if len(names) == 2 and "None" in names:
        names.remove("None")
        return "Optional[%s]" % names[0]
    return names[0] if len(names) == 1 else "Any" if names else "?"


def check_size(out, more=0):
    if len(out) + more > Limits.output:
        raise TooLarge(len(out) + more)


def encode_int(v, out):
    if type(v) is not int:
        if isinstance(v, bool) or not isinstance(v, int):
            raise Mismatch
        v = int(v)
    if -33 < v < 128:
        out += SMALL[v]
    elif INT_MIN <= v <= INT_MAX:
        out += pack_int(v)
    else:
        raise OverflowError(v)


def encode_float(v, out):
    if type(v) is not float:
        if isinstance(v, bool) or not isinstance(v, (int, float)):
            raise Mismatch
        try:
            v = float(v)
        except OverflowError:
            raise Unfit("%s, which no float can hold" % show_int(v)) from None
    out.append(0xCB)
    out += F64.pack(v)


def encode_str(v, out):
    if not isinstance(v, str):
        raise Mismatch
    if len(v) > Limits.output:
        raise TooLarge(len(v))
    try:
        raw = v.encode()
    except UnicodeEncodeError as e:
        raise Unfit(
            "a str with a lone surrogate (U+%04X at position %d), which UTF-8 has no bytes for"
            % (ord(v[e.start]), e.start)) from None
    n = len(raw)
    if n < 32:
        out.append(0xA0 | n)
    else:
        head(out, n, True, 31, 0xA0, (0xD9, 0xDA, 0xDB))
        check_size(out, n)
    out += raw


def encode_bytes(v, out):
    if not isinstance(v, (bytes, bytearray, memoryview)):
        raise Mismatch
    n = v.nbytes if isinstance(v, memoryview) else len(v)
    check_size(out, n)
    head(out, n, True, -1, 0, (0xC4, 0xC5, 0xC6))
    out += v


def encode_bool(v, out):
    if v is True:
        out.append(0xC3)
    elif v is False:
        out.append(0xC2)
    else:
        raise Mismatch


def encode_none(v, out):
    if v is not None:
        raise Mismatch
    out.append(0xC0)


def encode_any(v, out, depth=0):
    kind = type(v)
    if v is None:
        out.append(0xC0)
    elif isinstance(v, bool):
        out.append(0xC3 if v else 0xC2)
    elif isinstance(v, int):
        encode_int(v, out)
    elif isinstance(v, float):
        encode_float(v, out)
    elif isinstance(v, str):
        encode_str(v, out)
    elif isinstance(v, (bytes, bytearray, memoryview)):
        encode_bytes(v, out)
    elif depth >= DEPTH_MAX:
        raise Unfit("lists and dicts nested deeper than %d levels" % DEPTH_MAX)
    elif isinstance(v, (list, tuple)):
        list_head(out, len(v))
        check_size(out, len(v))
        for item in v:
            encode_any(item, out, depth + 1)
        check_size(out)
    elif isinstance(v, dict):
        map_head(out, len(v))
        check_size(out, len(v))
        for key, item in v.items():
            encode_key(key, out)
            encode_any(item, out, depth + 1)
        check_size(out)
    else:
        raise Unfit("a value of Python's type %s, which does not travel" % kind.__name__)


def encode_key(key, out):
    if not isinstance(key, str):
        raise Unfit("a dict with the key %s; a Dict's keys are str" % short_repr(key))
    encode_str(key, out)


def list_encoder(inner):
    item_encoder = encoder(inner)
    only_ints, only_floats = inner[0] == "int", inner[0] == "float"

    def encode_list(v, out):
        if not isinstance(v, (list, tuple)):
            raise Mismatch
        n = len(v)
        list_head(out, n)
        check_size(out, n)
        if n > 32:
            if only_ints and set(map(type, v)) == {int} and min(v) >= 0 and max(v) < 128:
                out += bytes(v)
                return
            if only_floats and set(map(type, v)) == {float}:
                check_size(out, 9 * n)
                raw = array.array("d", v)
                if NATIVE_IS_LITTLE:
                    raw.byteswap()
                raw = raw.tobytes()
                block = bytearray(9 * n)
                block[0::9] = b"\xcb" * n
                for k in range(8):
                    block[k + 1::9] = raw[k::8]
                out += block
                return
        for item in v:
            item_encoder(item, out)
        check_size(out)

    return encode_list


def dict_encoder(inner):
    item_encoder = encoder(inner)

    def encode_dict(v, out):
        if not isinstance(v, dict):
            raise Mismatch
        map_head(out, len(v))
        check_size(out, len(v))
        for key, item in v.items():
            encode_key(key, out)
            item_encoder(item, out)
        check_size(out)

    return encode_dict


def optional_encoder(inner):
    item_encoder = encoder(inner)

    def encode_optional(v, out):
        if v is None:
            out.append(0xC0)
        else:
            item_encoder(v, out)

    return encode_optional


SIMPLE_ENCODERS = {
    "int": encode_int, "float": encode_float, "str": encode_str, "bool": encode_bool, "bytes": encode_bytes,
    "None": encode_none, "Any": encode_any,
}
WRAPPING_ENCODERS = {"List": list_encoder, "Dict": dict_encoder, "Optional": optional_encoder}


def encoder(parsed):
    """What checks a value against a type and appends it, in one pass."""
    name, inner = parsed
    return SIMPLE_ENCODERS[name] if inner is None else WRAPPING_ENCODERS[name](inner)


def converter(parsed):
    """What makes an argument exactly its declared type, or None where it is already: an int may come for a
    float."""
    name, inner = parsed
    if name == "float":
        return float
    convert = converter(inner) if inner is not None else None
    if convert is None:
        return None
    if name == "List":
        return lambda v: list(map(convert, v))
    if name == "Dict":
        return lambda v: {key: convert(item) for key, item in v.items()}
    return lambda v: None if v is None else convert(v)
