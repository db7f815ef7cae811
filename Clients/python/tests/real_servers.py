"""Real servers, as the tests against them start them."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from support import TIMEOUT, free_port

#: The folder that has rpc-server and initializer; end_to_end.py is told which.
PROGRAMS = pathlib.Path(".")
SOURCE = """
import time
def add(a, b): return a + b
def join(a, b): return str(a) + b
def fails(): raise ValueError("as it should")
def wait(seconds):
    time.sleep(seconds)
    return seconds
def again(seconds):
    time.sleep(seconds)
    return seconds
"""
PROCEDURES = """
    - add: {args: [a: int, b: int], returns: [int], src: test.py}
    - add: {args: [int, str], returns: [str], src: test.py, function: join}
    - fails: {args: [], returns: [], src: test.py}
    - wait: {args: [float], returns: [float], src: test.py}
    - again: {args: [float], returns: [float], src: test.py, idempotent: true}
"""
LUA = "function sum(a, b) return a + b end\n"


class Network:
    """Real servers on free ports, with data of their own, in a folder that goes with them."""

    def __init__(self, *names, options=()):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.ports = {name: free_port() for name in names}
        self.environment = {**os.environ, "HOME": str(self.folder / "home"), "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", "RPC_KEY": ""}
        self.options, self.processes, self.pins = list(options), {}, {}
        (self.folder / "home").mkdir()
        (self.folder / "test.py").write_text(SOURCE)
        (self.folder / "sum.lua").write_text(LUA)
        for name in names:
            self.start(name)

    def start(self, name):
        if name in self.processes:
            self.processes[name].stdout.close()
            self.processes[name].wait(TIMEOUT)
        with open(self.folder / f"{name}.log", "w") as log:
            process = subprocess.Popen(
                [PROGRAMS / "rpc-server", "127.0.0.1", str(self.ports[name]), "--data", self.data(name), *self.options],
                stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True, env=self.environment, start_new_session=True,
            )  # fmt: skip
        self.processes[name] = process
        for line in process.stdout:
            if "listening on" in line:
                break
        else:
            raise AssertionError((self.folder / f"{name}.log").read_text())
        if "--tls" in self.options:
            self.pin = self.pins[name] = process.stdout.readline().split()[1]

    def data(self, name):
        return self.folder / "data" / name

    def address(self, name):
        return f"127.0.0.1:{self.ports[name]}"

    @property
    def file(self):
        return self.folder / "init.yaml"

    def describe(self, services=None, server="", clients="", tenants="me", network="", certificates=None):
        """Writes init.yaml: `services` says which servers provide what, `test` and `numbers` on all of them without."""
        pinned = {name: f', certificate: "{pin}"' for name, pin in (certificates or {}).items()}
        services = services or {"test": list(self.ports), "numbers": list(self.ports)}
        lines = ["network:", network, "  servers:"]
        lines += [f"    - {name}: {{ip: 127.0.0.1, port: {port}{server}{pinned.get(name, '')}}}" for name, port in self.ports.items()]
        lines += ["  clients:", "    - me: {ip: 127.0.0.1}", clients, "service:"]
        rpcs = {"test": "add, fails, wait, again", "numbers": "sum"}
        lines += [f"  - {name}: {{providers: [{', '.join(at)}], tenants: [{tenants}], rpcs: [{rpcs[name]}]}}" for name, at in services.items()]
        lines += ["rpc:"]
        if "test" in services:
            lines += ["  test:", PROCEDURES]
        if "numbers" in services:
            lines += ["  numbers:", "    - sum: {args: [int, int], returns: [int], src: sum.lua, idempotent: true}"]
        self.file.write_text("\n".join(lines) + "\n")

    def deploy(self, **described):
        self.describe(**described)
        done = subprocess.run([PROGRAMS / "initializer", self.file], capture_output=True, text=True, env=self.environment)
        assert done.returncode == 0, done
        return self

    def signal(self, name, number):
        self.processes[name].send_signal(number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait(TIMEOUT)
            process.stdout.close()
        shutil.rmtree(self.folder)


def eventually(holds):
    deadline = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < deadline, "it never became so"
