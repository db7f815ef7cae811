"""Calls every procedure of a server through grpcio, knowing the port alone. Says which check failed and ends with 1."""

import sys
import threading

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))


def method(name):
    service, _, procedure = name.partition(".")
    found = pool.FindServiceByName(service).FindMethodByName(procedure)
    request = message_factory.GetMessageClass(found.input_type)
    response = message_factory.GetMessageClass(found.output_type)
    return request, channel.unary_unary(
        f"/{service}/{procedure}", request_serializer=request.SerializeToString, response_deserializer=response.FromString
    )


def call(name, **arguments):
    request, stub = method(name)
    return stub(request(**arguments), timeout=30)


def refused(code, name, timeout=30, **arguments):
    request, stub = method(name)
    try:
        answer = stub(request(**arguments), timeout=timeout)
    except grpc.RpcError as error:
        check(f"{name} is refused with {code}", error.code(), code)
        return error
    raise SystemExit(f"{name} answered {answer}, not {code}")


def details(error):
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


def check(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r}, wanted {wanted!r}")


services = ProtoReflectionDescriptorDatabase(channel).get_services()
for name in ("text", "math", "clock", "shop", "system", "grpc.health.v1.Health"):
    check(f"{name} is listed", name in services, True)

# Overloads: the first that is declared has the plain name.
check("concat", call("text.concat", arg1=32, arg2="hello").result, "32hello")
check("concat__int_str", call("text.concat__int_str", arg1=32, arg2="hello").result, "32hello")
check("concat__int_int", call("text.concat__int_int", arg1=32, arg2=33).result, 3233)
check("join", call("text.join", words=["a", "b"], separator="+").result, "a+b")
counted = call("text.count", text="one two")
check("count", (counted.result1, counted.result2), (2, 6))
check("shout", call("text.shout", text="héllo").result[:1], "H")
check("add", call("math.add", a=2**62, b=-5).result, 2**62 - 5)
check("mean", call("math.mean", numbers=[1, 2, 4.5]).result, 2.5)
check("now", len(call("clock.now").result) > 10, True)
check("wait", call("clock.wait", seconds=0.01).ByteSize(), 0)

# What the procedure raised, in all detail.
error = refused(grpc.StatusCode.UNKNOWN, "math.divide", dividend=1, divisor=0)
info = details(error)
check("the exception", info.reason, "ExecutionException")
check("executed", info.metadata["executed"], "yes")
check("the source", info.metadata["source"].startswith("math.lua:"), True)
refused(grpc.StatusCode.PERMISSION_DENIED, "shop.price", item="tea")
refused(grpc.StatusCode.DEADLINE_EXCEEDED, "clock.wait", timeout=0.3, seconds=30)
try:
    channel.unary_unary("/math/nothing")(b"", timeout=10)
    raise SystemExit("an unknown method answered")
except grpc.RpcError as error:
    check("an unknown method", error.code(), grpc.StatusCode.UNIMPLEMENTED)

# Cancelled by the caller: the worker is free again for the next call.
request, stub = method("clock.wait")
future = stub.future(request(seconds=30))
future.cancel()
check("cancelled", future.cancelled(), True)
check("after the cancel", call("clock.wait", seconds=0).ByteSize(), 0)

# Compressed requests are refused in a way that a client understands.
request, _ = method("math.add")
try:
    channel.unary_unary("/math/add", request_serializer=request.SerializeToString)(
        request(a=1, b=2), compression=grpc.Compression.Gzip, timeout=10
    )
    raise SystemExit("a compressed request was taken")
except grpc.RpcError as error:
    check("a compressed request", error.code(), grpc.StatusCode.UNIMPLEMENTED)

# Both versions of reflection say the same.
Request = reflection_pb2.ServerReflectionRequest
questions = [
    Request(list_services=""),
    Request(file_containing_symbol="nothing.of.the.kind"),
    Request(file_containing_symbol="math.add"),
    Request(file_containing_symbol="math_types.AddRequest"),
    Request(file_by_filename="math_types.proto"),
    Request(file_by_filename="google/protobuf/struct.proto"),
    Request(file_containing_symbol="grpc.health.v1.Health"),
]
answers = []
for version in ("v1", "v1alpha"):
    stream = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo", request_serializer=Request.SerializeToString
    )
    answers.append(list(stream(iter(questions), timeout=20)))
check("v1 and v1alpha", answers[0], answers[1])
kinds = [reflection_pb2.ServerReflectionResponse.FromString(answer).WhichOneof("message_response") for answer in answers[0]]
check(
    "kinds of answers", kinds,
    ["list_services_response", "error_response"] + ["file_descriptor_response"] * 5,
)

health = health_pb2_grpc.HealthStub(channel)
check("health", health.Check(health_pb2.HealthCheckRequest(), timeout=10).status, 1)
check("health of a service", health.Check(health_pb2.HealthCheckRequest(service="math"), timeout=10).status, 1)
try:
    health.Check(health_pb2.HealthCheckRequest(service="nothing"), timeout=10)
    raise SystemExit("an unknown service has a health")
except grpc.RpcError as error:
    check("health of nothing", error.code(), grpc.StatusCode.NOT_FOUND)
check("health of all", "math" in health.List(health_pb2.HealthListRequest(), timeout=10).statuses, True)
watch = health.Watch(health_pb2.HealthCheckRequest(service="nothing"))
check("watch of nothing", next(watch).status, 3)
watch.cancel()

# Many at once, on one connection.
request, stub = method("math.add")
failures = []


def many():
    for index in range(100):
        if stub(request(a=index, b=1), timeout=30).result != index + 1:
            failures.append(index)


threads = [threading.Thread(target=many) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
check("calls of eight threads", failures, [])
print("all checks passed")
