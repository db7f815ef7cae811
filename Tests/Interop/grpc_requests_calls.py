"""Calls every procedure of a server through grpc_requests, which asks reflection for all that it knows.

    grpc_requests_calls.py PORT

The server has the services of Tests/EndToEndTests/GRPCInteropTests.swift. Says which check failed and ends with 1."""

import sys

from grpc_requests import Client

client = Client.get_by_endpoint(f"127.0.0.1:{sys.argv[1]}")


def check(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r}, wanted {wanted!r}")


def call(name, **arguments):
    called.add(name)
    return client.request(*name.rsplit(".", 1), arguments)


called = set()
# Numbers of 64 bits are text in protobuf's JSON.
check("concat", call("text.concat", arg1=32, arg2="hello"), {"result": "32hello"})
check("concat__int_str", call("text.concat__int_str", arg1=32, arg2="hello"), {"result": "32hello"})
check("concat__int_int", call("text.concat__int_int", arg1=32, arg2=33), {"result": "3233"})
check("join", call("text.join", words=["a", "b"], separator="+"), {"result": "a+b"})
check("count", call("text.count", text="one two"), {"result1": "2", "result2": "6"})
check("shout", call("text.shout", text="hello"), {"result": "HELLO!"})
check("add", call("math.add", a=2**62, b=-5), {"result": str(2**62 - 5)})
check("divide", call("math.divide", dividend=7, divisor=2), {"result1": "3", "result2": "1"})
check("mean", call("math.mean", numbers=[1, 2, 4.5]), {"result": 2.5})
check("now", len(call("clock.now")["result"]) > 10, True)
check("wait", call("clock.wait", seconds=0.01), {})
check("ping", call("system.ping"), {"result": "pong"})
check("stats", "result" in call("system.stats"), True)
check("catalogue", "result" in call("system.catalogue"), True)
# That is all there is but for the service whose tenant this is not.
offered = {f"{service}.{method}" for service in client.service_names if not service.startswith(("grpc.", "shop"))
           for method in client.service(service).method_names}
check("procedures", called, offered)
print("all checks passed")
