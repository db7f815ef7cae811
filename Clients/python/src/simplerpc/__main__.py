"""The client as a program: python -m simplerpc HOST:PORT math.add 1 2"""

import argparse
import base64
import binascii
import json
import os
import sys
from typing import Any, NoReturn, Optional

from ._version import __version__
from .blocking import Client
from .errors import MissingExtra, RPCError
from .keys import PublicKey
from .policy import RetryPolicy

NAME = "simplerpc"
EPILOG = """\
An ARGUMENT is JSON, or else the text that it is; {"$bytes": "BASE64"} are bytes. The result is written as JSON: several as a
list, none as null. Without SERVICE.PROCEDURE what the server offers is listed.

exit codes: 0 all went well, 2 the command line is wrong, 64 + N the call failed with gRPC's status N, 130 interrupted
"""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if "required" in message:
            message = "HOST:PORT is missing"
        fail(f"{message}; --help says more", 2)


def fail(message: str, code: int) -> NoReturn:
    """Ends the program with an error of one line."""
    print(f"{NAME}: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


def parser() -> Parser:
    made = Parser(
        prog=NAME,
        usage=f"{NAME} [OPTION…] HOST:PORT [SERVICE.PROCEDURE [ARGUMENT…]]",
        description="Calls a procedure of a SimpleRPC server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("address", metavar="HOST:PORT", help="the server")
    made.add_argument("procedure", metavar="SERVICE.PROCEDURE", nargs="?", help="what to call")
    made.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="its arguments")
    made.add_argument("--timeout", type=float, metavar="SECONDS", help="how long the call may take")
    made.add_argument("--as", dest="identity", metavar="NAME", help="the client of network.clients to be known by")
    made.add_argument(
        "--key", metavar="FILE", default=os.environ.get("RPC_KEY") or None, help="the private key that proves it ($RPC_KEY)"
    )
    made.add_argument("--server-key", metavar="KEY", help="the public key that the server must prove, 'ssh-ed25519 AAAA…'")
    made.add_argument("--pin", metavar="PIN", help="TLS to a server with this certificate, sha256//BASE64")
    made.add_argument("--ca", metavar="FILE", help="TLS to a server that one of these authorities vouches for")
    made.add_argument("--certificate", metavar="FILE", help="the client's own certificate and its key, in PEM")
    made.add_argument("--network", action="store_true", help="call whichever server provides it: HOST:PORT tells which")
    made.add_argument("--retry", action="store_true", help="repeat an idempotent procedure that may have been executed")
    made.add_argument("--raw", action="store_true", help="write a text as it is")
    made.add_argument("--version", action="version", version=f"{NAME} {__version__}")
    return made


def argument(number: int, text: str) -> Any:
    """A value from a word of the command line."""
    try:
        return from_json(json.loads(text))
    except RecursionError:
        fail(f"argument {number} nests too deep", 2)
    except ValueError as error:
        # A word is a text; what was meant as JSON is not.
        if text[:1] in ("{", "[", '"'):
            fail(f"argument {number} is not JSON: {error}", 2)
        return text


def from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [from_json(each) for each in value]
    if isinstance(value, dict):
        if value.keys() == {"$bytes"} and isinstance(value["$bytes"], str):
            try:
                return base64.b64decode(value["$bytes"], validate=True)
            except binascii.Error as error:
                raise ValueError(f"$bytes: {error}") from None
        return {key: from_json(each) for key, each in value.items()}
    return value


def to_json(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [to_json(each) for each in value]
    if isinstance(value, dict):
        return {key: to_json(each) for key, each in value.items()}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")
    return value


def signatures(catalogue: Any) -> list[tuple[str, str]]:
    """Each procedure, as it is called, and what it does."""
    lines = []
    for service in catalogue["services"]:
        for procedure in service["procedures"]:
            parameters = ", ".join(
                f"{each['name']}: {each['type']}" if each.get("name") else each["type"] for each in procedure["parameters"]
            )
            returns = ", ".join(procedure["returns"])
            arrow = f" -> {returns}" if len(procedure["returns"]) < 2 and returns else f" -> ({returns})" if returns else ""
            lines.append((f"{service['name']}.{procedure['name']}({parameters}){arrow}", procedure.get("doc") or ""))
    return lines


def run(options: argparse.Namespace) -> str:
    arguments = [argument(number, text) for number, text in enumerate(options.arguments, 1)]
    server_key = PublicKey.parse(options.server_key) if options.server_key else None
    with Client(
        options.address, identity=options.identity, key=options.key, server_key=server_key, pin=options.pin, ca=options.ca,
        certificate=options.certificate, timeout=options.timeout, retry=RetryPolicy(repeat_idempotent=options.retry),
        network=options.network,
    ) as client:  # fmt: skip
        if options.procedure is None:
            listed = signatures(client.catalogue())
            width = max((len(line) for line, doc in listed if doc), default=0)
            return "\n".join(f"{line:{width}}  {' '.join(doc.split())}".rstrip() for line, doc in listed)
        result = client.call(options.procedure, *arguments)
    if options.raw and isinstance(result, str):
        return result
    return json.dumps(to_json(result), ensure_ascii=False)


def main(words: Optional[list[str]] = None) -> int:
    options = parser().parse_args(words)
    if options.timeout is not None and not options.timeout > 0:
        fail("--timeout must be more than 0 seconds", 2)
    try:
        text = run(options)
        sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass") + b"\n")
        sys.stdout.buffer.flush()
    except RPCError as error:
        place = f" at {error.source}" if error.source else ""
        known = "" if error.executed == "no" else f" (executed: {error.executed})"
        fail(f"{error}{place}{known}", 64 + error.status)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (MissingExtra, ValueError) as error:
        fail(str(error), 2)
    except KeyboardInterrupt:
        return 130
    return 0


def command() -> NoReturn:
    sys.exit(main())


if __name__ == "__main__":
    command()
