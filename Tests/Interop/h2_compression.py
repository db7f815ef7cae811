"""RFC 7541 in cases: what header fields may look like, and what tables the peer takes."""

import hpack

from h2_peer import *  # noqa: F403: all of it is words of these tables

INDEXED = b"\x83\x86"  # :method POST, :scheme http


def spelled(first, huffman=False):
    """The head with each field as a literal of one kind."""
    encoder = hpack.Encoder()
    text = encoder.huffman_coder.encode if huffman else lambda value: value
    block = b""
    for name, value in head():
        pieces = [text(part.encode()) for part in (name, value)]
        block += bytes([first]) + b"".join(number(len(piece), 7, 128 if huffman else 0) + piece for piece in pieces)
    return block


for first, name in ((0x40, "remembered"), (0, "not remembered"), (0x10, "never to be remembered")):
    for huffman in (False, True):
        case("7541 6.2", f"literals that are {name}{', in Huffman' if huffman else ''}",
             frame(HEADERS, 4, 1, spelled(first, huffman)) + frame(DATA, 1, 1, BODY), fine())
REST = literal([field for field in head() if field[0] not in (":method", ":scheme")])
case("7541 6.1", "fields of the static table", frame(HEADERS, 4, 1, INDEXED + REST) + frame(DATA, 1, 1, BODY), fine())
case("7541 6.1", "fields of the dynamic table",
     frame(HEADERS, 4, 1, spelled(0x40)) + frame(DATA, 1, 1, BODY)
     + frame(HEADERS, 4, 3, bytes([0xc3, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe])) + frame(DATA, 1, 3, BODY), fine(stream=3))
case("7541 6.1", "the index 0", frame(HEADERS, 5, 1, b"\x80" + BLOCK), error(COMPRESSION))
case("7541 2.3.3", "an index beyond both tables", frame(HEADERS, 5, 1, b"\xff\x20" + BLOCK), error(COMPRESSION))
case("7541 2.3.3", "a name by an index beyond both tables", frame(HEADERS, 5, 1, b"\x7f\x20\x01x" + BLOCK), error(COMPRESSION))
case("7541 5.1", "an integer that overflows", frame(HEADERS, 5, 1, b"\xff" + b"\xff" * 12 + b"\x7f"), error(COMPRESSION))
case("7541 5.1", "an integer that is cut off", frame(HEADERS, 5, 1, BLOCK + b"\xff"), error(COMPRESSION))
case("7541 5.2", "a string that is cut off", frame(HEADERS, 5, 1, BLOCK + b"\0\x05abc"), error(COMPRESSION))
case("7541 5.2", "padding of Huffman of 8 bits", frame(HEADERS, 5, 1, BLOCK + b"\0\x01x\x82\x1f\xff\xff"), error(COMPRESSION))
case("7541 5.2", "padding of Huffman by zeros", frame(HEADERS, 5, 1, BLOCK + b"\0\x01x\x81\x18"), error(COMPRESSION))
case("7541 5.2", "the end's symbol in a string", frame(HEADERS, 5, 1, BLOCK + b"\0\x01x\x84\xff\xff\xff\xff"), error(COMPRESSION))
case("7541 4.2", "a table's size behind a field", frame(HEADERS, 5, 1, BLOCK + b"\x20"), error(COMPRESSION))
case("7541 6.3", "a table's size above the limit", frame(HEADERS, 5, 1, number(4097, 5, 0x20) + BLOCK), error(COMPRESSION))
case("7541 6.3", "a table of no bytes", frame(HEADERS, 4, 1, b"\x20" + BLOCK) + frame(DATA, 1, 1, BODY), fine())
case("7541 6.3", "a table of no bytes and of all again",
     frame(HEADERS, 4, 1, b"\x20" + number(4096, 5, 0x20) + spelled(0x40)) + frame(DATA, 1, 1, BODY), fine())
case("7541 6.3", "what a smaller table has forgotten",
     frame(HEADERS, 4, 1, spelled(0x40)) + frame(DATA, 1, 1, BODY) + frame(HEADERS, 5, 3, b"\x20\xbe" + BLOCK), error(COMPRESSION))
case("7541 4.4", "a field that is larger than the table empties it",
     frame(HEADERS, 4, 1, b"\x20" + number(64, 5, 0x20) + BLOCK + b"\x40\x01x" + string("y" * 100)) + frame(DATA, 1, 1, BODY), fine())


def tables(*sizes):
    """The peer takes tables of these sizes, one after the other, and calls after each change: every answer can be read
    by a decoder that allows no more."""
    def check(peer):
        stream = 1
        for size in sizes:
            peer.decoder.max_allowed_table_size = max(size, peer.decoder.header_table_size)
            peer.send(setting((1, size)) + PING_FRAME)
            # It is in force with the acknowledgement.
            got = peer.next()
            while got and got[0] != PING:
                got = peer.next()
            peer.decoder.max_allowed_table_size = size
            for _ in range(3):
                peer.send(request(stream) if stream % 4 == 1 else request(stream, path="/math/nothing"))
                found = peer.outcome(stream)
                if found not in (("answer", 0), ("answer", 12)):
                    return f"table {size}: {found}"
                if peer.decoder.header_table_size > size:
                    return f"the table has {peer.decoder.header_table_size} bytes, {size} are taken"
                stream += 2
        return None
    check.wants = "answers that such a table can read"
    return check


for sizes in ((0,), (128,), (65536,), (0, 4096), (65536, 0), (4096, 128, 0, 65536, 1, 4096)):
    case("6.5.2", f"header tables of {', '.join(map(str, sizes))} bytes", b"", tables(*sizes))
