"""Values as MessagePack, in the part of it that the protocol uses, and the names of their types (Docs/PROTOCOL.md,
sections 3 and 4)."""

import struct
from collections.abc import Iterable
from typing import Any, Callable, Union

Value = Union[None, bool, int, float, str, bytes, list[Any], dict[str, Any]]

#: Lists and maps that a value may stand inside.
NESTING_MAX = 64

_pack8, _pack16, _pack32, _pack64 = (struct.Struct(">B" + form).pack for form in "BHIQ")
_pack_i8, _pack_i16, _pack_i32, _pack_i64 = (struct.Struct(">B" + form).pack for form in "bhiq")
_pack_float = struct.Struct(">Bd").pack


def pack(value: Any) -> bytes:
    """The shortest form of a value. Raises TypeError, OverflowError or ValueError for one that cannot travel."""
    out = bytearray()
    _write(out, value, 0)
    return bytes(out)


def pack_arguments(values: Iterable[Any]) -> bytes:
    """A list of arguments, which does not count as one that its values stand inside."""
    values = tuple(values)
    out = bytearray()
    _count(out, len(values), 0x90, 16, 0xDC)
    for value in values:
        _write(out, value, 0)
    return bytes(out)


def _write(out: bytearray, value: Any, depth: int) -> None:
    kind = type(value)
    if kind is int:
        if -32 <= value <= 0x7F:
            out.append(value & 0xFF)
        else:
            out += _integer(value)
    elif kind is str:
        data = value.encode()
        count = len(data)
        if count < 32:
            out.append(0xA0 | count)
        else:
            _length(out, count, 0xD9)
        out += data
    elif value is None:
        out.append(0xC0)
    elif kind is bool:
        out.append(0xC3 if value else 0xC2)
    elif kind is float:
        out += _pack_float(0xCB, value)
    elif kind is list or kind is tuple:
        _deeper(depth)
        _count(out, len(value), 0x90, 16, 0xDC)
        for item in value:
            _write(out, item, depth + 1)
    elif kind is dict:
        _deeper(depth)
        _count(out, len(value), 0x80, 16, 0xDE)
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the keys of a dict must be str, not {type(key).__name__}: {key!r:.60}")
            _write(out, key, depth + 1)
            _write(out, item, depth + 1)
    elif kind is bytes or isinstance(value, (bytes, bytearray, memoryview)):
        data = value if kind is bytes else bytes(value)
        _length(out, len(data), 0xC4)
        out += data
    else:
        _write(out, _plain(value), depth)


def _plain(value: Any) -> Any:
    """What an instance of a subclass stands for, such as a member of an IntEnum."""
    if isinstance(value, str):
        return str.__str__(value)  # as it is, not as a subclass shows it
    bases: tuple[Callable[[Any], Any], ...] = (int, float, list, tuple, dict)
    for base in bases:
        if isinstance(value, base):  # type: ignore[arg-type]
            return base(value)
    raise TypeError(f"a {type(value).__name__} cannot travel: {value!r:.60}")


def _deeper(depth: int) -> None:
    if depth >= NESTING_MAX:
        raise ValueError(f"lists and dicts nest deeper than {NESTING_MAX} levels")


def _integer(value: int) -> bytes:
    if value >= 0:
        if value < 1 << 8:
            return _pack8(0xCC, value)
        if value < 1 << 16:
            return _pack16(0xCD, value)
        if value < 1 << 32:
            return _pack32(0xCE, value)
        if value < 1 << 63:
            return _pack64(0xCF, value)
    elif value >= -(1 << 7):
        return _pack_i8(0xD0, value)
    elif value >= -(1 << 15):
        return _pack_i16(0xD1, value)
    elif value >= -(1 << 31):
        return _pack_i32(0xD2, value)
    elif value >= -(1 << 63):
        return _pack_i64(0xD3, value)
    # The number itself may be longer than Python is willing to print.
    raise OverflowError(f"an int of {value.bit_length()} bits does not fit a signed 64-bit integer")


def _count(out: bytearray, count: int, fix: int, below: int, first: int) -> None:
    """The head of a list or map."""
    if count < below:
        out.append(fix | count)
    elif count < 1 << 16:
        out += _pack16(first, count)
    else:
        out += _pack32(first + 1, count)


def _length(out: bytearray, count: int, first: int) -> None:
    """The head of a text or of bytes."""
    if count < 1 << 8:
        out += _pack8(first, count)
    elif count < 1 << 16:
        out += _pack16(first + 1, count)
    else:
        out += _pack32(first + 2, count)


def unpack(data: bytes) -> Any:
    """Decodes exactly one value, trusting no length. Raises ValueError."""
    try:
        value, end = _read(data, 0, 0)
    except (IndexError, struct.error):
        raise _cut() from None
    if end != len(data):
        raise ValueError("bytes follow the end of the value")
    return value


def unpack_values(data: bytes) -> tuple[Any, ...]:
    """Decodes the list of a REPLY, each value with its own depth. Raises ValueError."""
    try:
        kind = data[0]
        if 0x90 <= kind <= 0x9F:
            count, at = kind & 0x0F, 1
        elif kind == 0xDC:
            count, at = _u16(data, 1)[0], 3
        elif kind == 0xDD:
            count, at = _u32(data, 1)[0], 5
        else:
            raise ValueError("return values that are no list")
        if count > len(data) - at:
            raise _cut()
        values = []
        for _ in range(count):
            value, at = _read(data, at, 0)
            values.append(value)
    except (IndexError, struct.error):
        raise _cut() from None
    if at != len(data):
        raise ValueError("bytes follow the end of the values")
    return tuple(values)


def _cut() -> ValueError:
    return ValueError("the bytes end inside a value")


_u8, _u16, _u32, _u64 = (struct.Struct(">" + form).unpack_from for form in "BHIQ")
_FIXED: dict[int, tuple[Callable[..., tuple[Any, ...]], int]] = {
    0xCA + index: (struct.Struct(">" + form).unpack_from, struct.calcsize(">" + form)) for index, form in enumerate("fdBHIQbhiq")
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_SIZES = {0: (_u8, 1), 1: (_u16, 2), 2: (_u32, 4)}
_BYTES, _TEXT, _LIST, _MAP = range(4)
_COUNTED = {0xC4 + index: (_BYTES, *_SIZES[index]) for index in range(3)}
_COUNTED.update({0xD9 + index: (_TEXT, *_SIZES[index]) for index in range(3)})
_COUNTED.update({0xDC: (_LIST, *_SIZES[1]), 0xDD: (_LIST, *_SIZES[2]), 0xDE: (_MAP, *_SIZES[1]), 0xDF: (_MAP, *_SIZES[2])})


def _read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value at `at`, and where it ends."""
    kind = data[at]
    at += 1
    if kind < 0x80:
        return kind, at
    if kind >= 0xE0:
        return kind - 256, at
    if kind in _FIXED:
        read, size = _FIXED[kind]
        value = read(data, at)[0]
        if kind == 0xCF and value >> 63:
            raise ValueError(f"{value} does not fit a signed 64-bit integer")
        return value, at + size
    if kind in _CONSTANTS:
        return _CONSTANTS[kind], at
    if kind < 0xC0:
        if kind >= 0xA0:
            family, count = _TEXT, kind & 31
        else:
            family, count = (_LIST if kind >= 0x90 else _MAP), kind & 15
    elif kind in _COUNTED:
        family, read, size = _COUNTED[kind]
        count = read(data, at)[0]
        at += size
    else:
        raise ValueError(f"MessagePack type 0x{kind:02x} is not used by this protocol")
    end = at + count
    if family <= _TEXT:
        if end > len(data):
            raise _cut()
        return (data[at:end].decode() if family == _TEXT else bytes(data[at:end])), end
    # Each element is at least one byte, each entry two: no count makes room for what is not there.
    if count * (family - 1) > len(data) - at:
        raise _cut()
    if depth >= NESTING_MAX:
        raise ValueError(f"lists and maps nest deeper than {NESTING_MAX} levels")
    if family == _LIST:
        items = []
        for _ in range(count):
            item, at = _read(data, at, depth + 1)
            items.append(item)
        return items, at
    result: dict[str, Any] = {}
    for _ in range(count):
        key, at = _read(data, at, depth + 1)
        if not isinstance(key, str) or key in result:
            raise ValueError("the keys of a map are str, each once")
        result[key], at = _read(data, at, depth + 1)
    return result, at


_NAMES = {int: "int", float: "float", str: "str", bool: "bool", bytes: "bytes", type(None): "None"}


def describe(*values: Any) -> str:
    """The narrowest type that all values have: what an overload is chosen by. Raises TypeError for what has none."""
    if len(values) == 1:
        name = _NAMES.get(type(values[0]))
        if name is not None:
            return name
    return _describe(values, 0)


def _describe(values: Iterable[Any], depth: int) -> str:
    _deeper(depth - 1)
    kinds = set()
    lists: list[Any] = []
    maps: list[Any] = []
    for value in values:
        name = _NAMES.get(type(value)) or _family(value)
        kinds.add(name)
        if name == "List":
            lists.append(value)
        elif name == "Dict":
            maps.append(value)
    optional = "None" in kinds
    kinds.discard("None")
    if not kinds:
        return "None" if optional else "?"
    if kinds == {"int", "float"}:
        kinds = {"float"}
    if len(kinds) > 1:
        inner = "Any"
    else:
        inner = kinds.pop()
        if inner == "List":
            inner = f"List[{_describe((item for value in lists for item in value), depth + 1)}]"
        elif inner == "Dict":
            inner = f"Dict[str, {_describe((item for value in maps for item in value.values()), depth + 1)}]"
    return f"Optional[{inner}]" if optional else inner


def _family(value: Any) -> str:
    for base, name in (((list, tuple), "List"), (dict, "Dict"), ((bytearray, memoryview), "bytes")):
        if isinstance(value, base):
            return name
    for kind, name in _NAMES.items():
        if isinstance(value, kind):
            return name
    raise TypeError(f"a {type(value).__name__} cannot travel: {value!r:.60}")
