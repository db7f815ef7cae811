"""Checks simplerpc.py against the test vectors of Docs/PROTOCOL.md: python3 vectors.py [DOCUMENT]"""

import ast
import pathlib
import re
import sys

from simplerpc import CALL, CANCEL, GENERATION, HEADER, PING, PONG, PREFACE, pack, unpack

PROOF = 12  # which the client has no use for, since it has no keys


def blocks(text):
    """Kind, name and rows of each block; a row is its bytes and what stands behind the bar."""
    for kind, name, body in re.findall(r"^```vector (\w+) ?([\w-]*)\n(.*?)^```", text, re.M | re.S):
        rows = []
        for line in body.splitlines():
            data, _, meaning = line.partition("|")
            if meaning.strip() or not rows:
                rows.append([b"", meaning.strip()])
            rows[-1][0] += bytes.fromhex(data)
        yield kind, name, rows


def meaning(text):
    """A value, written as in Python but for bytes and the floats that Python has no literal for."""
    if text in ("nan", "inf", "-inf"):
        return float(text)
    return ast.literal_eval(re.sub(r'\bh"(\w*)"', lambda found: repr(bytes.fromhex(found[1])), text))


def value(kind, data, text):
    """Nothing when a row of values holds, else what went wrong."""
    try:
        found = unpack(data)
    except (ValueError, RecursionError) as error:
        return None if kind == "refused" else f"refused: {error}"
    if kind == "refused":
        return f"taken for {found!r}"
    wanted = pack(meaning(text))
    if pack(found) != wanted:
        return f"taken for {found!r}"
    return None if (data == wanted) == (kind == "values") else f"written as {wanted.hex(' ')}"


def frame(data):
    """Nothing when a frame is whole and its payload comes back as it was, else what went wrong."""
    length, kind, flags, _, _ = HEADER.unpack_from(data)
    payload = data[HEADER.size :]
    if length != len(payload):
        return f"{len(payload)} bytes of payload, not {length}"
    if kind in (CANCEL, PING, PONG, GENERATION) or kind == PROOF and not payload:
        return f"a payload of {length} bytes" if payload else None
    if kind == CALL:
        payload = payload[8 + (26 if flags & 2 else 0) :]
        if flags & 1:
            payload = b"\x92" + payload  # metadata and arguments, read as one list
    return None if pack(unpack(payload)) == payload else "its payload is written in another way"


def main():
    default = pathlib.Path(__file__).parent / "../../Docs/PROTOCOL.md"
    text = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else default).read_text()
    count = failed = 0
    for kind, name, rows in blocks(text):
        if kind == "preface":
            checks = [("the preface", None if rows[0][0] == PREFACE else "not ours")]
        elif kind == "frame":
            checks = [(name, frame(b"".join(data for data, _ in rows)))]
        else:
            checks = [(text, value(kind, data, text)) for data, text in rows]
        for what, problem in checks:
            count += 1
            failed += problem is not None
            if problem:
                print(f"FAILED {kind} {what}: {problem}")
    print(f"{count - failed} of {count} vectors hold")
    sys.exit(failed > 0 or count == 0)


if __name__ == "__main__":
    main()
