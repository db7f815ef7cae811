"""MessagePack for the worker: exact, and as fast as the standard library allows."""

import array
import struct
import sys

F64 = struct.Struct(">d")
F32 = struct.Struct(">f")
U16 = struct.Struct(">H")
U32 = struct.Struct(">I")
U64 = struct.Struct(">Q")
I8 = struct.Struct(">b")
I16 = struct.Struct(">h")
I32 = struct.Struct(">i")
I64 = struct.Struct(">q")
NUMBERS = {
    0xCA: F32, 0xCB: F64, 0xCC: struct.Struct(">B"), 0xCD: U16, 0xCE: U32, 0xCF: U64,
    0xD0: I8, 0xD1: I16, 0xD2: I32, 0xD3: I64,
}
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
LENGTHS = {
    0xD9: (1, NUMBERS[0xCC]), 0xDA: (2, U16), 0xDB: (4, U32),
    0xC4: (1, NUMBERS[0xCC]), 0xC5: (2, U16), 0xC6: (4, U32),
    0xDC: (2, U16), 0xDD: (4, U32), 0xDE: (2, U16), 0xDF: (4, U32),
}
NATIVE_IS_LITTLE = sys.byteorder == "little"


def decode(b, p):
    """The value at `p` and where it ends. The server checked the bytes, so nothing is checked again."""
    t = b[p]
    if t < 0x80:
        return t, p + 1
    if t >= 0xE0:
        return t - 0x100, p + 1
    p += 1
    if t < 0x90:
        return decode_map(b, p, t & 15)
    if t < 0xA0:
        return decode_list(b, p, t & 15)
    if t < 0xC0:
        e = p + (t & 31)
        return b[p:e].decode(), e
    number = NUMBERS.get(t)
    if number is not None:
        return number.unpack_from(b, p)[0], p + number.size
    if t in LENGTHS:
        width, number = LENGTHS[t]
        n = number.unpack_from(b, p)[0]
        p += width
        if t >= 0xDE:
            return decode_map(b, p, n)
        if t >= 0xDC:
            return decode_list(b, p, n)
        e = p + n
        return (b[p:e].decode() if t >= 0xD9 else bytes(b[p:e])), e
    return CONSTANTS[t], p


def decode_list(b, p, n):
    if n > 32:
        # Long lists of small ints and of floats, which are the common ones, are read in one go.
        t = b[p]
        if t == 0xCB and b[p:p + 9 * n:9] == b"\xcb" * n:
            raw = bytearray(8 * n)
            for k in range(8):
                raw[7 - k if NATIVE_IS_LITTLE else k::8] = b[p + 1 + k:p + 9 * n:9]
            return array.array("d", bytes(raw)).tolist(), p + 9 * n
        if t < 0x80:
            chunk = b[p:p + n]
            if chunk.isascii():
                return list(chunk), p + n
    values = []
    append = values.append
    for _ in range(n):
        t = b[p]
        if t < 0x80:
            append(t)
            p += 1
        elif 0xA0 <= t < 0xC0:
            p += 1
            e = p + (t & 31)
            append(b[p:e].decode())
            p = e
        else:
            value, p = decode(b, p)
            append(value)
    return values, p


def decode_map(b, p, n):
    values = {}
    for _ in range(n):
        key, p = decode(b, p)
        values[key], p = decode(b, p)
    return values, p


SMALL = {i: bytes([i & 0xFF]) for i in range(-32, 128)}


def pack_int(v):
    if v >= 0:
        if v <= 0xFF:
            return b"\xcc" + bytes((v,))
        if v <= 0xFFFF:
            return b"\xcd" + U16.pack(v)
        if v <= 0xFFFFFFFF:
            return b"\xce" + U32.pack(v)
        return b"\xcf" + U64.pack(v)
    if v >= -0x80:
        return b"\xd0" + I8.pack(v)
    if v >= -0x8000:
        return b"\xd1" + I16.pack(v)
    if v >= -0x80000000:
        return b"\xd2" + I32.pack(v)
    return b"\xd3" + I64.pack(v)


def head(out, n, short, short_max, short_base, wide):
    """Appends a length: within the type byte, or in one, two or four bytes behind those of `wide`."""
    if n <= short_max:
        out.append(short_base | n)
    elif short and n <= 0xFF:
        out.append(wide[0])
        out.append(n)
    elif n <= 0xFFFF:
        out.append(wide[1])
        out += U16.pack(n)
    else:
        out.append(wide[2])
        out += U32.pack(n)


def list_head(out, n):
    if n <= 15:
        out.append(0x90 | n)
    else:
        head(out, n, False, 15, 0x90, (0, 0xDC, 0xDD))


def map_head(out, n):
    head(out, n, False, 15, 0x80, (0, 0xDE, 0xDF))
