"""Calls every procedure of a server through the grpcio and the protobuf of the distribution, which are years old, knowing the
port alone.

    grpcio_old.py PORT

Debian has no package of reflection's messages, so these are written and read by hand. Says which check failed and ends with 1."""

import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
pool = descriptor_pool.DescriptorPool()


def fields(data):
    """The numbers and values of a message whose fields are numbers or bytes."""
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    at = 0
    while at < len(data):
        tag = varint()
        value = varint()
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
        yield tag >> 3, value


def reflect(number, text=""):
    """Asks reflection for the field `number` of a ServerReflectionRequest; returns the answer's field 4 or 6."""
    data = text.encode()
    request = bytes([number << 3 | 2, len(data)]) + data
    ask = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    for field, value in fields(next(ask(iter([request]), timeout=20))):
        if field in (4, 6):
            return value
    raise SystemExit(f"reflection does not know {text!r}")


def load(service):
    """Takes the files of a service, each behind those that it needs."""
    files = [descriptor_pb2.FileDescriptorProto.FromString(value) for field, value in fields(reflect(4, service)) if field == 1]
    known = {file.name: file for file in files}

    def add(file):
        for name in file.dependency:
            add(known[name])
        if file.name not in added:
            added.add(file.name)
            pool.Add(file)

    for file in files:
        add(file)
    return pool.FindServiceByName(service)


added = set()
services = [dict(fields(value))[1].decode() for field, value in fields(reflect(7)) if field == 1]
methods = {
    f"{name}.{method.name}": method
    for name in services if not name.startswith("grpc.") for method in load(name).methods
}
factory = message_factory.MessageFactory(pool)
called = {"shop.price"}


def call(name, **arguments):
    called.add(name)
    request, response = (factory.GetPrototype(kind) for kind in (methods[name].input_type, methods[name].output_type))
    stub = channel.unary_unary(
        "/" + name.replace(".", "/"), request_serializer=request.SerializeToString, response_deserializer=response.FromString)
    return stub(request(**arguments), timeout=30)


def check(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r}, wanted {wanted!r}")


check("concat", call("text.concat", arg1=32, arg2="hello").result, "32hello")
check("concat__int_str", call("text.concat__int_str", arg1=32, arg2="hello").result, "32hello")
check("concat__int_int", call("text.concat__int_int", arg1=32, arg2=33).result, 3233)
check("join", call("text.join", words=["a", "b"], separator="+").result, "a+b")
check("count", [call("text.count", text="one two").result1, call("text.count", text="one two").result2], [2, 6])
check("shout", call("text.shout", text="hello").result, "HELLO!")
check("add", call("math.add", a=2**62, b=-5).result, 2**62 - 5)
check("divide", call("math.divide", dividend=-7, divisor=2).result1, -4)
check("mean", call("math.mean", numbers=[1, 2, 4.5]).result, 2.5)
check("now", len(call("clock.now").result) > 10, True)
check("wait", call("clock.wait", seconds=0.01).ByteSize(), 0)
check("ping", call("system.ping").result, "pong")
check("stats", call("system.stats").ByteSize() > 0, True)
check("catalogue", call("system.catalogue").ByteSize() > 0, True)
check("procedures", called, set(methods))
try:
    call("math.divide", dividend=1)
    raise SystemExit("dividing by zero answered")
except grpc.RpcError as error:
    check("an exception", (error.code(), "by zero" in error.details()), (grpc.StatusCode.UNKNOWN, True))
print("all checks passed")
