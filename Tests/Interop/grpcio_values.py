"""Sends values of every kind natively and through gRPC, and compares what comes back: bit by bit where they are numbers.

    grpcio_values.py PORT CLIENTS

The server has the service `values` of Tests/EndToEndTests/GRPCInteropTests.swift. CLIENTS is the folder of our package."""

import math
import struct
import sys
import threading

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

sys.path.insert(0, f"{sys.argv[2]}/src")
from simplerpc import Client  # noqa: E402

PORT = int(sys.argv[1])
LIMIT = 16 * 1024 * 1024
channel = grpc.insecure_channel(
    f"127.0.0.1:{PORT}",
    options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
service = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel)).FindServiceByName("values")
native = Client("127.0.0.1", PORT)


def stub(name):
    method = service.FindMethodByName(name)
    request = message_factory.GetMessageClass(method.input_type)
    response = message_factory.GetMessageClass(method.output_type)
    return request, response, channel.unary_unary(
        f"/values/{name}", request_serializer=request.SerializeToString, response_deserializer=response.FromString)


def check(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r:.300}, wanted {wanted!r:.300}")


def bits(value):
    return struct.pack(">d", value) if isinstance(value, float) else value


# ---- Values that protobuf has fields for

same = [
    ("an_int", [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1]),
    ("a_float", [0.0, -0.0, 1.5, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan]),
    ("a_str", ["", "a", "U+0000: \0", "é %", "😈", "x" * 70_000]),
    ("some_bytes", [b"", b"\0", bytes(range(256)), b"\xff" * 300_000]),
    ("a_bool", [True, False]),
]
for name, values in same:
    request, _, call = stub(name)
    for value in values:
        answer = call(request(value=value), timeout=30).result
        check(f"{name} by gRPC", (type(answer), bits(answer)), (type(value), bits(value)))
        check(f"{name} natively", bits(native.call(f"values.{name}", value)), bits(value))

request, _, call = stub("lists")
for value in ([], [[]], [[1, 2], [], [-(2**63)]]):
    answer = call(request(value=[{"values": part} for part in value]), timeout=30).result
    check("lists by gRPC", [list(part.values) for part in answer], value)
    check("lists natively", native.call("values.lists", value, types=["List[List[int]]"]), value)

request, _, call = stub("a_dict")
for value in ({}, {"": 0.0}, {"a": -0.0, "é": math.inf}):
    answer = dict(call(request(value=value), timeout=30).result)
    check("a dict by gRPC", {key: bits(item) for key, item in answer.items()}, {key: bits(item) for key, item in value.items()})
    check("a dict natively", native.call("values.a_dict", value, types=["Dict[str, float]"]), value)

request, _, call = stub("maybe")
for value in (None, "", "x"):
    answer = call(request() if value is None else request(value=value), timeout=30)
    check("an optional by gRPC", answer.result if answer.HasField("result") else None, value)
    check("an optional natively", native.call("values.maybe", value, types=["Optional[str]"]), value)

# ---- Any, which is google.protobuf.Value: what its numbers cannot tell has a name

request, response, call = stub("anything")
for value, written in (
    (None, None), (True, True), (1, 1.0), (2**53, float(2**53)), (2**53 + 1, {"$int": str(2**53 + 1)}),
    (-(2**63), {"$int": str(-(2**63))}), (1.5, 1.5), (math.nan, {"$float": "NaN"}), (math.inf, {"$float": "Infinity"}),
    ("", ""), (b"\0\xff", {"$bytes": "AP8="}), ([1, [None, {"a": b"x"}]], [1.0, [None, {"a": {"$bytes": "eA=="}}]]),
):
    sent = json_format.ParseDict({"value": written}, request())
    answer = json_format.MessageToDict(call(sent, timeout=30)).get("result")
    check(f"{value!r} as Any by gRPC", answer, written)
    back = native.call("values.anything", value, types=["Any"])
    check(f"{value!r} as Any natively", back if value == value else math.isnan(back), value if value == value else True)
    # Both ways are the same value for the procedure.
    kind = stub("kind")
    told = kind[2](json_format.ParseDict({"value": written}, kind[0]()), timeout=30).result
    check(f"the kind of {value!r}", told, native.call("values.kind", value, types=["Any"]))

# ---- Sizes

request, _, call = stub("size")
head = 1 + 4  # The field's tag, and a length of 4 bytes.
check("a message at the limit", call(request(value=bytes(LIMIT - head)), timeout=60).result, LIMIT - head)
try:
    call(request(value=bytes(LIMIT - head + 1)), timeout=60)
    raise SystemExit("a message above the limit was taken")
except grpc.RpcError as error:
    check("a message above the limit", error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
check("a message of no bytes", call(request(), timeout=30).result, 0)

# ---- gRPC's own interoperability tests, those of unary calls (doc/interop-test-descriptions.md)

request, response, call = stub("nothing")
answer = call(request(), timeout=30)
check("empty_unary", answer.ByteSize(), 0)
request, _, blob = stub("blob")
check("large_unary", len(blob(request(body=bytes(271828), size=314159), timeout=30).result), 314159)
request, _, tell = stub("metadata")
sent = [("x-grpc-test-echo-initial", "test_initial_metadata_value"), ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")]
check("custom_metadata", tell(request(name=sent[0][0]), metadata=sent, timeout=30).result, sent[0][1])
check("custom_metadata, bytes", tell(request(name=sent[1][0]), metadata=sent, timeout=30).result, repr(sent[1][1]))
request, _, fail = stub("fail")
for message in ("test status message", "50 % of é, % and %zz", "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"):
    try:
        fail(request(message=message), timeout=30)
        raise SystemExit("fail answered")
    except grpc.RpcError as error:
        check("status_code", error.code(), grpc.StatusCode.UNKNOWN)
        check("special_status_message", message.strip() in error.details(), True)
for path in ("/values/unimplemented", "/unimplemented/method"):
    try:
        channel.unary_unary(path)(b"", timeout=30)
        raise SystemExit(f"{path} answered")
    except grpc.RpcError as error:
        check("unimplemented", error.code(), grpc.StatusCode.UNIMPLEMENTED)
request, _, sleep = stub("sleep")
future = sleep.future(request(seconds=30))
check("cancel_after_begin", (future.cancel(), future.code()), (True, grpc.StatusCode.CANCELLED))
try:
    sleep(request(seconds=30), timeout=0.05)
    raise SystemExit("sleep answered in time")
except grpc.RpcError as error:
    check("timeout_on_sleeping_server", error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
request, _, blob = stub("blob")
failures = []


def large():
    for _ in range(5):
        if len(blob(request(body=bytes(271828), size=314159), timeout=60).result) != 314159:
            failures.append("a wrong answer")


threads = [threading.Thread(target=large) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
check("concurrent_large_unary", failures, [])
native.close()
print("all checks passed")
