"""Runs the shared conformance cases with each way to call: python3 conformance.py HOST PORT [TABLE]"""

import asyncio
import base64
import json
import pathlib
import sys
from concurrent.futures import CancelledError, ThreadPoolExecutor

from support import PYTHON

from simplerpc import AsyncClient, Cancelled, Client, RetryPolicy, RPCError
from simplerpc.values import pack

SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def value(item, type=None):
    """A value of the table: JSON with the conventions that its head explains."""
    if isinstance(item, list):
        return [value(each, type) for each in item]
    if isinstance(item, dict):
        if "$bytes" in item:
            return base64.b64decode(item["$bytes"])
        if "$filled" in item:
            return b"\x5a" * item["$filled"]
        if "$text" in item:
            return "x" * item["$text"]
        return {key: value(each, type) for key, each in item.items()}
    if type and "float" in type and isinstance(item, str):
        return SPECIAL[item]
    return item


def values(case, key, types):
    types = case.get(types) or [None] * len(case[key])
    return [value(item, type) for item, type in zip(case[key], types)]


class Blocking:
    """Threads that wait for their answers."""

    def __init__(self, host, port):
        self.client = Client(host, port, retry=RetryPolicy(1))
        self.threads = ThreadPoolExecutor(16)

    def call(self, case, name, *arguments, **options):
        if case.get("cancel"):
            return Shared.call(self, case, name, *arguments, **options)
        count = case.get("repeat", 1)
        if count == 1:
            return [self.client.call(name, *arguments, **options)]
        calls = [self.threads.submit(self.client.call, name, *arguments, **options) for _ in range(count)]
        return [call.result(60) for call in calls]

    def close(self):
        self.threads.shutdown()
        self.client.close()


class Shared(Blocking):
    """Calls that were started, on the connection that they share."""

    def call(self, case, name, *arguments, **options):
        calls = [self.client.start(name, *arguments, **options) for _ in range(case.get("repeat", 1))]
        if case.get("cancel"):
            self.client.start("system.ping").result(60)  # the call was read before the ping
            calls[0].cancel()
            try:
                calls[0].result(60)
            except CancelledError:
                raise Cancelled("given up") from None
        return [call.result(60) for call in calls]


class Tasks:
    """Tasks of asyncio."""

    def __init__(self, host, port):
        self.loop = asyncio.new_event_loop()
        self.client = AsyncClient(host, port, retry=RetryPolicy(1))

    def call(self, case, name, *arguments, **options):
        async def calls():
            tasks = [asyncio.ensure_future(self.client.call(name, *arguments, **options)) for _ in range(case.get("repeat", 1))]
            if case.get("cancel"):
                await self.client.ping()
                tasks[0].cancel()
            try:
                return await asyncio.gather(*tasks)
            except asyncio.CancelledError:
                raise Cancelled("given up") from None

        return self.loop.run_until_complete(asyncio.wait_for(calls(), 60))

    def close(self):
        self.loop.run_until_complete(self.client.close())
        self.loop.close()


def run(way, case):
    """Nothing when the case passes, else what went wrong."""
    arguments = values(case, "arguments", "types")
    options = {"timeout": case.get("timeout"), "types": case.get("types")}
    try:
        results = way.call(case, case["call"], *arguments, **options)
    except RPCError as error:
        if error.exception != case.get("error"):
            return f"raised {error}"
        for key, found in (("executed", error.executed), ("code", error.status)):
            if case.get(key, found) != found:
                return f"{key} is {found}"
        return None if case.get("says", "") in error.message else f"says {error.message}"
    if "error" in case:
        return f"returned {results[0]!r:.100}"
    wanted = values(case, "returns", "return-types")
    wanted = wanted[0] if len(wanted) == 1 else tuple(wanted) or None
    # By their bytes, since NaN is not equal to itself and 1 equals 1.0 and True. What a float is
    # declared for may have travelled as an int.
    for result in results:
        if pack(result) != pack(wanted):
            return f"returned {result!r:.100}"
    return None


def main():
    table = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else PYTHON.parent / "conformance.json")
    cases = json.loads(table.read_text())["cases"]
    failed = count = 0
    for kind in (Blocking, Shared, Tasks):
        way = kind(sys.argv[1], sys.argv[2])
        for case in cases:
            problem = run(way, case)
            count += 1
            failed += problem is not None
            print(f"{'FAILED' if problem else 'ok':7} {kind.__name__:9} {case['name']}{': ' + problem if problem else ''}")
        way.close()
    print(f"{count - failed} of {count} cases passed")
    sys.exit(failed > 0 or count == 0)


if __name__ == "__main__":
    main()
