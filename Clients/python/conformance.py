"""Runs the shared conformance cases with simplerpc.py: python3 conformance.py HOST PORT [TABLE]"""

import base64
import json
import pathlib
import sys

from simplerpc import Client, RPCError, describe, pack

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


def run(client, case):
    """Nothing when the case passes, else what went wrong."""
    arguments = values(case, "arguments", "types")
    options = {"timeout": case.get("timeout"), "types": case.get("types") or list(map(describe, arguments))}
    try:
        calls = [client.start(case["call"], *arguments, **options) for _ in range(case.get("repeat", 1))]
        if case.get("cancel"):
            client.ping()  # the call was read before the ping
            client.cancel(calls[0])
        results = [call.result(60) for call in calls]
    except RPCError as error:
        if error.exception != case.get("error"):
            return f"raised {error}"
        for key in ("executed", "code"):
            if case.get(key, getattr(error, key)) != getattr(error, key):
                return f"{key} is {getattr(error, key)}"
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
    table = pathlib.Path(sys.argv[3] if len(sys.argv) > 3 else pathlib.Path(__file__).parent / "../conformance.json")
    cases = json.loads(table.read_text())["cases"]
    failed = 0
    with Client(sys.argv[1], sys.argv[2]) as client:
        for case in cases:
            problem = run(client, case)
            failed += problem is not None
            print(f"{'FAILED' if problem else 'ok':7} {case['name']}{': ' + problem if problem else ''}")
    print(f"{len(cases) - failed} of {len(cases)} cases passed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
