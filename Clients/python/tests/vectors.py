"""Checks the client against the test vectors of Docs/PROTOCOL.md: python3 vectors.py [DOCUMENT]"""

import ast
import hashlib
import pathlib
import re
import sys

from support import PYTHON

from simplerpc.frames import CALL, CANCEL, GENERATION, HEADER, PING, PONG, PREFACE, PROOF
from simplerpc.options import Options
from simplerpc.protocol import Connection
from simplerpc.topology import Server
from simplerpc.values import pack, unpack


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


# Signatures (section 5, PROOF): RFC 8032 as it stands there, slow and for known answers only.
PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME


def point(data):
    """The point of the curve that 32 bytes stand for, as (X, Y, Z, T)."""
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    if (x * x - square) % PRIME or y >= PRIME:
        raise ValueError("no point of the curve")
    x = PRIME - x if x & 1 != sign else x
    return x, y, 1, x * y % PRIME


def add(first, second):
    a = (first[1] - first[0]) * (second[1] - second[0]) % PRIME
    b = (first[1] + first[0]) * (second[1] + second[0]) % PRIME
    c = 2 * first[3] * second[3] * CURVE % PRIME
    d = 2 * first[2] * second[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def times(factor, which):
    result = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            result = add(result, which)
        which, factor = add(which, which), factor >> 1
    return result


def signed(key, statement, signature):
    """Whether the owner of a public key signed the statement."""
    base = point((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, "little"))
    digest = hashlib.sha512(signature[:32] + key + pack(statement)).digest()
    right = add(point(signature[:32]), times(int.from_bytes(digest, "little") % ORDER, point(key)))
    left = times(int.from_bytes(signature[32:], "little"), base)
    return (left[0] * right[2] - right[0] * left[2]) % PRIME == (left[1] * right[2] - right[1] * left[2]) % PRIME == 0


def proofs(frames):
    """The two proofs of the handshake that the document shows, each with what is wrong with it or nothing."""
    nonce = unpack(frames["nonce"][HEADER.size :])["nonce"]
    server = unpack(frames["challenge"][HEADER.size :])
    key, name, ip, port, signature = unpack(frames["proof"][HEADER.size :])
    statement = ["SimpleRPC server 1", nonce, server["server_key"], b""]
    holds = signed(server["server_key"], statement, server["server_signature"])
    yield "server_signature", None if holds else "does not hold"
    statement = ["SimpleRPC proof 2", server["challenge"], key, name, ip, port, server["server_key"], b""]
    yield "signature of PROOF", None if signed(key, statement, signature) else "does not hold"
    yield "signature of another port", "holds" if signed(key, statement[:5] + [port + 1] + statement[6:], signature) else None
    yield "the proof as the client writes it", proven(frames, server)


def proven(frames, server):
    """The client's own way through the same handshake, with the private key of the document."""
    try:
        from simplerpc.keys import PrivateKey

        options = Options(key=PrivateKey(b"\x07" * 32))
    except ImportError:
        return None
    connection = Connection(Server("s1", "127.0.0.1", 8181), options, (bytes([127, 0, 0, 1]), 8181), random=lambda _: bytes(range(32, 64)))
    connection.start(0)
    connection.output()
    connection.receive(frames["challenge"], 0)
    if connection.output() != frames["proof"]:
        return "another one"
    return None if connection.server_key.bytes == server["server_key"] and not connection.is_ready else "another key"


def deployments(parts):
    """The two signatures of a deployment that the document shows, each with what is wrong with it or nothing."""
    statement = unpack(parts["statement"])
    holds = signed(statement["deployer"], ["SimpleRPC deployment 1", parts["statement"]], parts["signature"])
    yield "signature of a deployment", None if holds else "does not hold"
    lines = f"serial {statement['serial']}\ndeployment {statement['id']}\n"
    holds = signed(statement["server_key"], ["SimpleRPC acceptance 1", "fence", 0, lines], parts["acceptance"])
    yield "acceptance of a deployment", None if holds else "does not hold"
    content = [statement["network"], statement["topology"], [[statement["server"], statement["manifest"]]]]
    digest = hashlib.sha256(pack(["SimpleRPC deployment id 1", *content])).hexdigest()
    yield "id of a deployment", None if digest[:12] == statement["id"] else "is another one"


def main():
    default = PYTHON.parent.parent / "Docs/PROTOCOL.md"
    text = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else default).read_text()
    count = failed = 0
    frames = {}
    parts = {}
    for kind, name, rows in blocks(text):
        if kind == "preface":
            checks = [("the preface", None if rows[0][0] == PREFACE else "not ours")]
        elif kind == "frame":
            frames[name] = b"".join(data for data, _ in rows)
            checks = [(name, frame(frames[name]))]
            if len(frames.keys() & {"nonce", "challenge", "proof"}) == 3 and name in ("nonce", "challenge", "proof"):
                checks += proofs(frames)
        elif kind == "deployment":
            parts[name] = b"".join(data for data, _ in rows)
            checks = deployments(parts) if len(parts) == 3 else []
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
