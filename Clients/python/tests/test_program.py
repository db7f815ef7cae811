"""The client as a program."""

import os
import signal
import subprocess
import sys
import unittest

from support import BIND, BOUND, CALL, PYTHON, REPLY, TIMEOUT, Case, Fake, free_port, pack, unpack


def program(*words, send=None, environment=None):
    path = os.pathsep.join([str(PYTHON / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-B", "-m", "simplerpc", *words], capture_output=True, text=True, timeout=TIMEOUT,
        env={**os.environ, "PYTHONPATH": path, "RPC_KEY": "", "PYTHONIOENCODING": "utf-8", **(environment or {})},
    )  # fmt: skip


CATALOGUE = {
    "services": [
        {
            "name": "math",
            "procedures": [
                {"name": "add", "parameters": [{"name": "a", "type": "int"}, {"type": "int"}], "returns": ["int"], "doc": "A sum.\nReally."},
                {"name": "nothing", "parameters": [], "returns": []},
                {"name": "divide", "parameters": [{"type": "int"}], "returns": ["int", "int"]},
            ],
        }
    ]
}


def answering(peer):
    """`s.echo` returns its arguments, `s.fail` raises, and the catalogue is there."""
    peer.greet()
    names = {}
    while True:
        frame = peer.read()
        if not frame:
            return
        kind, call_id, payload = frame
        if kind == BIND:
            names[call_id] = unpack(payload)[1]
            peer.send(BOUND, call_id, pack([call_id, [], [], False]))
        elif kind == CALL:
            name = names[int.from_bytes(payload[:4], "little")]
            if name == "fail":
                peer.fail(call_id, "ExecutionException", "boom\n at once", 2, 2, source="f.py:3")
            else:
                peer.send(REPLY, call_id, pack([CATALOGUE]) if name == "catalogue" else payload[8:])


class Program(Case):
    def test_results_are_json_and_arguments_are_json_or_the_text_that_they_are(self):
        with Fake(answering) as server:
            for words, wanted in [
                (["1", "-2.5", "true", "null"], "[1, -2.5, true, null]"), (["hello"], '"hello"'),
                (['"1"'], '"1"'), (['[1,{"a":"é"}]'], '[1, {"a": "é"}]'), (['{"$bytes":"AP8="}'], '{"$bytes": "AP8="}'),
                ([], "null"), (["NaN"], '"NaN"'), (["-Infinity"], '"-Infinity"'), (["--timeout"], '"--timeout"'),
            ]:  # fmt: skip
                outcome = program(server.address, "s.echo", *words)
                self.assertEqual((outcome.returncode, outcome.stdout, outcome.stderr), (0, wanted + "\n", ""), words)
            self.assertEqual(program("--raw", server.address, "s.echo", "hello").stdout, "hello\n")

    def test_without_a_procedure_what_there_is_is_listed(self):
        with Fake(answering) as server:
            outcome = program(server.address)
        self.assertEqual(outcome.stdout.splitlines(), [
            "math.add(a: int, int) -> int  A sum. Really.", "math.nothing()", "math.divide(int) -> (int, int)",
        ])  # fmt: skip

    def test_errors_are_one_line_and_codes_are_those_of_the_shell(self):
        with Fake(answering) as server:
            closed = f"127.0.0.1:{free_port()}"
            for words, code, says in [
                ([server.address, "s.fail"], 66, "simplerpc: ExecutionException: boom at once at f.py:3 (executed: yes)"),
                ([closed, "s.p"], 78, f"simplerpc: Unavailable: connection refused: server {closed}"),
                ([server.address, "p"], 67, "write SERVICE.PROCEDURE"), (["127.0.0.1:x", "s.p"], 2, "write HOST:PORT"),
                ([server.address, "s.echo", "{"], 2, "argument 1 is not JSON"), ([], 2, "HOST:PORT is missing"),
                (["--timeout", "x", "a:1"], 2, "--timeout"), (["--timeout", "0", "a:1"], 2, "more than 0"),
                (["--bogus", "a:1"], 2, "--help says more"), (["--key", "/nowhere", "a:1"], 2, "cannot be read: No such file"),
                (["--pin", "x", "a:1"], 2, "is not a pin"), (["--ca", "/nowhere", server.address, "s.p"], 2, "the authorities '/nowhere' cannot be read"),
                ([server.address, "s.echo", '{"$bytes":"!"}'], 2, "argument 1 is not JSON"),
            ]:  # fmt: skip
                outcome = program(*words)
                self.assertEqual((outcome.returncode, outcome.stdout), (code, ""), outcome)
                self.assertEqual(outcome.stderr.count("\n"), 1, outcome)
                self.assertTrue(outcome.stderr.startswith("simplerpc: "), outcome)
                self.assertIn(says, outcome.stderr)
        self.assertRegex(program("--version").stdout, r"^simplerpc \d+\.\d+\.\d+\n$")
        self.assertIn("exit codes: 0 all went well", program("--help").stdout)

    def test_control_c_ends_it_quietly(self):
        started = []

        def script(peer):
            peer.greet()
            peer.bind()
            peer.call()
            os.kill(started[0], signal.SIGINT)
            peer.wait()

        with Fake(script) as server:
            path = os.pathsep.join([str(PYTHON / "src"), os.environ.get("PYTHONPATH", "")])
            child = subprocess.Popen(
                [sys.executable, "-B", "-m", "simplerpc", server.address, "s.p"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path},
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
            started.append(child.pid)
            self.assertEqual(child.communicate(timeout=TIMEOUT), (b"", b""))
            self.assertEqual(child.returncode, 130)


if __name__ == "__main__":
    unittest.main()
