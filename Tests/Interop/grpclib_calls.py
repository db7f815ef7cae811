"""Calls a server through grpclib, a client of its own over the h2 library, and reads its reflection."""

import asyncio
import sys

from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.health.v1.health_grpc import HealthStub
from grpclib.health.v1.health_pb2 import HealthCheckRequest


class Raw:
    """A message that is its bytes."""

    def __init__(self, data=b""):
        self.data = data

    def SerializeToString(self):
        return self.data

    @classmethod
    def FromString(cls, data):
        return cls(data)


async def main():
    channel = Channel("127.0.0.1", int(sys.argv[1]))
    add = UnaryUnaryMethod(channel, "/math/add", Raw, Raw)
    assert (await add(Raw(b"\x08\x01\x10\x02"))).data == b"\x08\x03"
    answers = await asyncio.gather(*(add(Raw(bytes([8, index, 16, 1]))) for index in range(100)))
    assert [answer.data for answer in answers] == [bytes([8, index + 1]) for index in range(100)]
    try:
        await UnaryUnaryMethod(channel, "/math/divide", Raw, Raw)(Raw(b"\x08\x01"))
        raise SystemExit("dividing by zero answered")
    except GRPCError as error:
        assert error.status is Status.UNKNOWN, error
    try:
        await UnaryUnaryMethod(channel, "/clock/wait", Raw, Raw)(Raw(b"\x09" + b"\0" * 6 + b"\x3e\x40"), timeout=0.2)
        raise SystemExit("a call outlived its deadline")
    except (GRPCError, asyncio.TimeoutError) as error:
        assert not isinstance(error, GRPCError) or error.status is Status.DEADLINE_EXCEEDED, error
    assert (await HealthStub(channel).Check(HealthCheckRequest())).status == 1
    channel.close()
    print("all checks passed")


asyncio.run(main())
