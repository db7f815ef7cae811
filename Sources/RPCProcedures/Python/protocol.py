"""What server, parent and workers say to each other.

Control dialect, between server and parent: a SOCK_SEQPACKET socket, one little-endian packet a message.

    to the parent    F id u32, flags u8, memory u64, service name, then NUL and `r` or `w` and a path each or `p` and a
                                                port, one descriptor
                                                fork a worker that serves this socket, for that service, of whose calls
                                                none may use more memory; flags: 1 may make sockets, 2 not confined,
                                                4 namespaces are required, 8 PROVIDE is the first frame
                     K id u32                   kill that worker and all processes that it started
                     P serial u32, then of each worker: id u32, calls u32 (begun so far), busy u32 (0 or 1)
                                                look after the workers, and answer
    from the parent  R major u32, minor u32, flags u32
                                                ready, under this version of Python; flags: 1 namespaces, 2 Landlock,
                                                4 seccomp, 8 another user, 16 root, 32 control groups, Landlock's
                                                version from bit 8
                     P serial u32               the answer
                     M id u32, used u64, bound u64   the call uses more memory than its bound; the worker is killed
                     N id u32, count u32, bound u32   the call has more processes than its bound; the worker is killed
                     L id u32                   processes or threads of finished calls go on in that idle worker
                     E id u32, errno u32        the worker could not be forked
                     O id u32, bytes            what it wrote to the descriptors 1 and 2 themselves
                     V id u32, count u32        how many bytes it wrote there since the last V
                     X id u32, status i32, signal i32   the worker ended: exit status, or the signal that ended
                                                or stopped it

Worker dialect, over a stream socket: the frames of the network protocol, `length u32 | kind u8 | flags u8 |
status u16 | call id u64`, then the payload. CALL, REPLY and ERROR are the network's own, but that behind the arguments of
a CALL there may be [caller or nil, deadline in nanoseconds of the monotonic clock or nil, metadata], with these beside:

    to the worker    LOAD 64     [unit, digest, source name, function, procedure, [parameter types],
                                 [return types], source or nil, memory bytes or nil]: makes `unit` callable as
                                 the procedure id of CALL. With flag 1 it is answered: REPLY [] or ERROR.
                                 Without, a failure is what the unit's calls answer.
                     FORGET 65   [[unit...], [digest...]]
                     PROVIDE 69  [[[variable, value]...], [[secret, bytes]...], folder of packages or nil]: before all
                                 others, where its service gives it something
                     ANSWER 68   to ASK: the list of values, or with flag 1 a map as in ERROR
    from the worker  LOG 66      [stream, line...] of the call: 1 standard output, 2 standard error, 3 rpc.log.
                                 With flag 1 of a call that was answered before: the call id is its unit.
                     ASK 67      [server or nil, "service.procedure", argument...]: the call in progress calls
                     REPLY or ERROR with flag 1: the worker has to be replaced, for what the call left behind

Between the server and the program that installs requirements, in the same frames: INSTALL 70 [folder, digest, content,
seconds, may build from source, order as behind the id of F] to it, and from it SAYS 71 [line] and at the end
INSTALLED 72 [""] or FAILED 73 [why].

A worker and the parent share a page, `Shared`.

A worker ends when its socket does, and the parent ends, with its workers, when the control socket does.
"""

import struct

# Control dialect: to the parent.
FORK, KILL, LOOK = b"F", b"K", b"P"
# From the parent.
READY, LOOKED, MEMORY_EXCEEDED, TOO_MANY, LEFTOVER = b"R", b"P", b"M", b"N", b"L"
NOT_FORKED, OUTPUT, OUTPUT_COUNT, ENDED = b"E", b"O", b"V", b"X"
PACKET = struct.Struct("<cI")

# Worker dialect.
HEADER = struct.Struct("<IBBHQ")
UNIT = struct.Struct("<I")
CALL, REPLY, ERROR = 4, 5, 6
LOAD, FORGET, LOG, ASK, ANSWER, PROVIDE = 64, 65, 66, 67, 68, 69
INSTALL, INSTALL_SAYS, INSTALLED, INSTALL_FAILED = 70, 71, 72, 73
ANSWERED = REPLACE = FAILED = LATE = 1
STANDARD_OUTPUT, STANDARD_ERROR, RPC_LOG = 1, 2, 3
