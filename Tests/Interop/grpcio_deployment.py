"""Calls without a pause while something is deployed, with a stream of reflection open all the while."""

import queue
import sys

import grpc
from grpc_reflection.v1alpha import reflection_pb2
from steady_calls import SteadyCalls

Request, Response = reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
info = channel.stream_stream(
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    request_serializer=Request.SerializeToString, response_deserializer=Response.FromString,
)
symbol = Request(file_containing_symbol="test.double")
questions = queue.Queue()
answers = info(iter(questions.get, None))
questions.put(symbol)
assert next(answers).HasField("error_response"), "double is not there yet"
with SteadyCalls(channel, threads=4, begun=200):
    sys.stdin.readline()
    questions.put(symbol)
    assert next(answers).HasField("error_response"), "a stream keeps its generation"
    questions.put(None)
    assert list(answers) == [], "the stream ends in order"
    assert next(info(iter([symbol]))).HasField("file_descriptor_response"), "the next stream shows the new method"
    assert channel.unary_unary("/test/double")(b"\x08\x04", timeout=30) == b"\x08\x08"
