"""Calls a server with the Connect client of connectrpc in all of its protocols, with messages that reflection tells.

    connectrpc_calls.py PORT"""

import sys

import grpc
from connectrpc.client import ConnectClientSync
from connectrpc.code import Code
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.protocol import ProtocolType
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from pyqwest import HTTPVersion, SyncClient, SyncHTTPTransport

port = sys.argv[1]
pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(grpc.insecure_channel(f"127.0.0.1:{port}")))


def method(service, name):
    found = pool.FindServiceByName(service).FindMethodByName(name)
    return MethodInfo(
        name=name, service_name=service, input=message_factory.GetMessageClass(found.input_type),
        output=message_factory.GetMessageClass(found.output_type), idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=StreamType.UNARY)


def check(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r}, wanted {wanted!r}")


add, divide, wait = method("math", "add"), method("math", "divide"), method("clock", "wait")
for version in (HTTPVersion.HTTP1, HTTPVersion.HTTP2):
    http = SyncClient(SyncHTTPTransport(http_version=version))
    for protocol in (ProtocolType.CONNECT, ProtocolType.GRPC, ProtocolType.GRPC_WEB):
        if protocol == ProtocolType.GRPC and version == HTTPVersion.HTTP1:
            continue
        for codec in (google_protobuf_binary_codec(), google_protobuf_json_codec()):
            # gRPC's messages are protobuf here.
            if codec.name() == "json" and protocol != ProtocolType.CONNECT:
                continue
            what = f"{protocol} with {codec.name()} over {version}"
            client = ConnectClientSync(
                f"http://127.0.0.1:{port}", codec=codec, protocol=protocol, send_compression=None, http_client=http)
            check(what, client.execute_unary(request=add.input(a=2**60, b=-1), method=add).result, 2**60 - 1)
            check(f"{what}, zeros", client.execute_unary(request=add.input(), method=add).result, 0)
            for call, request, code, word in (
                (divide, divide.input(dividend=1), Code.UNKNOWN, "zero"),
                (wait, wait.input(seconds=30), Code.DEADLINE_EXCEEDED, ""),
            ):
                try:
                    client.execute_unary(request=request, method=call, timeout_ms=300 if call is wait else 30_000)
                    raise SystemExit(f"{what}: {call.name} answered")
                except ConnectError as error:
                    check(f"{what}: {call.name}", error.code, code)
                    check(f"{what}: {error.message}", word in error.message, True)
            unknown = MethodInfo(
                name="nothing", service_name="math", input=add.input, output=add.output,
                idempotency_level=IdempotencyLevel.UNKNOWN, stream_type=StreamType.UNARY)
            try:
                client.execute_unary(request=add.input(), method=unknown)
                raise SystemExit(f"{what}: an unknown method answered")
            except ConnectError as error:
                check(f"{what}: an unknown method", error.code, Code.UNIMPLEMENTED)

# What is compressed is refused in words.
client = ConnectClientSync(f"http://127.0.0.1:{port}", codec=google_protobuf_binary_codec())
try:
    client.execute_unary(request=add.input(a=1, b=2), method=add)
    raise SystemExit("a compressed request was taken")
except ConnectError as error:
    check("a compressed request", (error.code, "compressed" in error.message), (Code.UNIMPLEMENTED, True))
print("all checks passed")
