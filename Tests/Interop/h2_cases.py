"""Sends a server what HTTP/2 allows and what it forbids, section by section of RFC 9113 and RFC 7541, and looks at the frame
that comes back. The peer shares nothing with the server: its frames are written by hand, its header compression is that of
the library hpack.

    h2_cases.py PORT

The server has `math.add`. After each case a neighbour's call must succeed. Says which cases failed and ends with 1."""

import sys

import h2_compression  # noqa: F401: each adds its cases
import h2_frames  # noqa: F401
from h2_peer import CASES, Peer, answered, request
from hpack import HPACKError


def main():
    failures = 0
    neighbour, stream = Peer(), 1
    for section, name, sends, check, settings, preface, greets in CASES:
        peer = Peer(settings, preface, greets)
        peer.send(sends)
        try:
            found = check(peer)
        except (TimeoutError, HPACKError) as error:
            found = repr(error)
        peer.close()
        neighbour.send(request(stream))
        if not answered(neighbour, stream):
            found = f"the neighbour is not served ({found})"
        stream += 2
        if found is not None:
            failures += 1
            print(f"RFC {section if section.startswith('7541') else '9113 ' + section}, {name}: found {found}, "
                  f"wanted {getattr(check, 'wants', 'other')}")
    print(f"{len(CASES)} cases, {failures} failed")
    sys.exit(1 if failures else 0)


main()
