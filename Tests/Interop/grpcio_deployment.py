"""Calls without a pause while something is deployed, with a stream of reflection open all the while."""

import queue
import sys
import threading

import grpc
from grpc_reflection.v1alpha import reflection_pb2

Request, Response = reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
add = channel.unary_unary("/test/add")
info = channel.stream_stream(
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    request_serializer=Request.SerializeToString, response_deserializer=Response.FromString,
)
symbol = Request(file_containing_symbol="test.double")
questions = queue.Queue()
answers = info(iter(questions.get, None))
questions.put(symbol)
assert next(answers).HasField("error_response"), "double is not there yet"
failed, count, over = [], [0], threading.Event()


def calls():
    while not over.is_set():
        try:
            assert add(b"\x08\x01\x10\x02", timeout=30) == b"\x08\x03"
            count[0] += 1
            if count[0] == 10:
                print("calling", flush=True)
        except Exception as error:
            failed.append(error)


thread = threading.Thread(target=calls)
thread.start()
sys.stdin.readline()
questions.put(symbol)
assert next(answers).HasField("error_response"), "a stream keeps its generation"
questions.put(None)
assert list(answers) == [], "the stream ends in order"
assert next(info(iter([symbol]))).HasField("file_descriptor_response"), "the next stream shows the new method"
assert channel.unary_unary("/test/double")(b"\x08\x04", timeout=30) == b"\x08\x08"
over.set()
thread.join()
if failed:
    raise SystemExit(f"{len(failed)} calls failed, the first: {failed[0]}")
print(f"{count[0]} calls")
