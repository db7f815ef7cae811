"""Frames, their kinds and their limits (Docs/PROTOCOL.md, sections 1, 2 and 8)."""

import struct

PREFACE = b"\x89RPC\r\n\x01\x00"
VERSION = 1
HEADER = struct.Struct("<IBBHQ")
HELLO, BIND, BOUND, CALL, REPLY, ERROR, CANCEL, PING, PONG, GOAWAY, GENERATION, PROOF = range(1, 13)
NAMES = "HELLO BIND BOUND CALL REPLY ERROR CANCEL PING PONG GOAWAY GENERATION PROOF".split()
CALL_HEAD = struct.Struct("<II")
HAS_METADATA, WAS_SENT_BEFORE = 1, 4
#: The largest payload that this client takes, and that it sends until the server's HELLO says what that takes.
FRAME_BYTES = 16 * 1024 * 1024
#: Calls on a connection at once, until the server's HELLO says how many it takes.
CALLS_MAX = 4096
#: Bytes of the metadata of a call.
METADATA_BYTES_MAX = 8192
#: Parameters of a procedure.
ARITY_MAX = 64
#: Times in a row a call binds again because its procedure's id was stale.
REBINDS_MAX = 4
#: The longest timeout that a CALL can say, in microseconds.
TIMEOUT_MAX = 2**32 - 1
