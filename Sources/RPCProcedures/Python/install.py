"""The program that installs the requirements of a service, in a process that may write one folder and nothing else."""

import ctypes
import errno
import fcntl
import os
import resource
import select
import shutil
import signal
import sys
import time

from .codec import decode
from .confinement import Confinement, Order
from .environment import SITE, UNUSED, complete, make_readable, name_of, size, sync
from .guardian import KILL_SECONDS, go_on_in_a_child, kill_descendants, read_arguments
from .limits import bound
from .namespaces import PR_SET_CHILD_SUBREAPER
from .protocol import HEADER, INSTALL, INSTALL_FAILED, INSTALL_SAYS, INSTALLED
from .provision import receive
from .requirements import FLAG, Refused, check, reason
from .values import encode_any

# Bounds of the installing processes, beside their time.
FILE_BYTES = 4 << 30
TREE_BYTES = 8 << 30
DATA_BYTES = 8 << 30
FILES = 1024
LINE_BYTES = 300
LINES_KEPT = 200
LOOK_SECONDS = 2.0
# How long what pip has started may take to end once it is killed.
END_SECONDS = 5.0
# Between two looks whether another program that installs into the same folder is done.
LOCK_SECONDS = 0.1
# What is passed on of the server's environment: where packages are, and how they are reached.
PASSED = ("PATH", "LANG", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
          "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
# Of pip's own variables those that say where packages go, which is settled here.
NOT_PASSED = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_PYTHON")
# pip's own settings for everybody, and what it tells package indexes of the system.
CONFIGURATION = "/etc/pip.conf /etc/xdg/pip /etc/os-release /etc/lsb-release /etc/debian_version /etc/redhat-release " \
    "/etc/alpine-release /etc/SuSE-release /etc/issue".split()
# Runs pip. It starts programs to build packages, which runs code of theirs: where only wheels are taken it may start none,
# whatever the index and the wheels themselves say. Where a filter forbids to change the modes of files it goes on without.
PIP = """
import os, runpy, sys
if %r:
    def refuse(event, _):
        if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "os.forkpty"):
            raise PermissionError("a package is not a wheel, and building one runs its code: " + %r)
    sys.addaudithook(refuse)
try:
    os.chmod(".", 0o700)
except PermissionError:
    os.chmod = os.fchmod = lambda *_, **__: None
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


class Failed(Exception):
    pass


class Installer:
    def __init__(self, libc, control, confinement, folder):
        # What pip starts comes to us when its parent is gone.
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.control = control
        self.confinement = confinement
        self.folder = folder

    def send(self, kind, text):
        payload = bytearray()
        encode_any([text], payload)
        try:
            self.control.sendall(HEADER.pack(len(payload), kind, 0, 0, 0) + payload)
        except OSError:
            os._exit(0)

    def run(self):
        length, kind = HEADER.unpack(receive(self.control, HEADER.size))[:2]
        if kind != INSTALL:
            os._exit(70)
        fields, _ = decode(receive(self.control, length), 0)
        self.directory, self.digest, text, self.seconds, self.allows_source, order = fields
        self.text = bytes(text)
        self.ending = time.monotonic() + self.seconds
        self.order = Order(bytes(order))
        # An environment belongs to no service: several may have the same.
        self.order.service = "requirements " + self.digest
        try:
            self.install()
        except (Failed, Refused) as failed:
            self.send(INSTALL_FAILED, str(failed))
        except OSError as error:
            self.send(INSTALL_FAILED, str(error))
        else:
            self.send(INSTALLED, "")

    def install(self):
        target = name_of(os.path.join(self.directory, self.digest))
        if os.path.isdir(target):
            return
        try:
            self.text = check(self.text.decode("utf-8-sig"), self.allows_source).encode()
        except UnicodeDecodeError:
            raise Failed("the file is not UTF-8 text") from None
        refusal = self.confinement.refusal(self.order)
        if refusal == errno.ENOSYS:
            raise Failed("this system has no Landlock or no seccomp, without which nothing is installed: start the "
                         "server with --isolation none to install without")
        if refusal:
            raise Failed("this system allows no namespaces, which isolation 'required' needs")
        os.makedirs(self.directory, mode=0o755, exist_ok=True)
        lock = self.lock()
        try:
            # Another program may have been faster.
            if not os.path.isdir(target):
                self.make(target)
        finally:
            os.close(lock)

    def lock(self):
        """Waits until nobody else installs here, and removes what others did not finish."""
        lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                self.check_time()
                time.sleep(LOCK_SECONDS)
        for name in os.listdir(self.directory):
            if name.endswith(UNUSED):
                shutil.rmtree(os.path.join(self.directory, name), ignore_errors=True)
        return lock

    def check_time(self):
        if time.monotonic() >= self.ending:
            raise Failed("installing took more than %d s, the limit" % self.seconds)
        if select.select([self.control], [], [], 0)[0]:
            # Nobody waits for it any more; the guardian ends the rest.
            os._exit(0)

    def make(self, target):
        """Makes an environment aside, and gives it its name when it is whole."""
        aside = target + ".new"
        has_user = self.order.is_confined and self.confinement.user is not None
        # Another user cannot pass the server's own folders.
        build = os.path.join(self.folder, "install") if has_user else target + ".build.new"
        os.mkdir(build, 0o700)
        try:
            if self.order.is_confined:
                self.confinement.give(build, self.order.service)
            self.send(INSTALL_SAYS, "installing for Python %d.%d" % sys.version_info[:2])
            self.watch(*self.start(build), build)
            # From here on nobody else has a hand in it.
            self.end_programs()
            packages = os.path.join(aside, SITE)
            os.makedirs(os.path.dirname(packages))
            installed = os.path.join(build, "site")
            if not os.path.isdir(installed) or os.path.islink(installed):
                # Nothing was asked for.
                os.makedirs(packages)
            elif has_user:
                shutil.copytree(installed, packages, symlinks=True)
            else:
                os.rename(installed, packages)
            complete(aside)
            make_readable(aside)
            sync(aside)
            os.rename(aside, target)
            sync(target)
        finally:
            self.end_programs()
            shutil.rmtree(build, ignore_errors=True)
            shutil.rmtree(aside, ignore_errors=True)

    def start(self, build):
        """Starts pip; its process and where its words come from."""
        words, written = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        pid = os.fork()
        if pid:
            os.close(written)
            return pid, words
        try:
            os.setpgid(0, 0)
            self.control.close()
            null = os.open("/dev/null", os.O_RDONLY)
            for descriptor, place in (null, 0), (written, 1), (written, 2):
                os.dup2(descriptor, place)
            bound(resource.RLIMIT_CORE, 0, for_ever=True)
            bound(resource.RLIMIT_NOFILE, FILES, for_ever=True)
            bound(resource.RLIMIT_FSIZE, FILE_BYTES, for_ever=True)
            bound(resource.RLIMIT_DATA, DATA_BYTES, for_ever=True)
            bound(resource.RLIMIT_CPU, self.seconds + 1, for_ever=True)
            for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGPIPE"):
                signal.signal(getattr(signal, name), signal.SIG_DFL)
            variables = self.variables(build)
            self.order.network = True
            self.order.readable += self.readable(variables)
            # What the service's procedures may write is none of a package's business.
            self.order.writable = []
            if self.order.is_confined:
                self.confinement.enter(self.order, build)
            if os.getppid() != parent:
                os._exit(0)
            for name in "tmp", "home":
                os.mkdir(os.path.join(build, name), 0o700)
            os.chdir(build)
            with open("requirements.txt", "wb") as file:
                file.write(self.text)
            os.execve(sys.executable, self.command(), variables)
        except BaseException as error:
            os.write(2, ("ERROR: %s\n" % error).encode("utf-8", "replace"))
        finally:
            os._exit(70)

    @staticmethod
    def readable(variables):
        """What pip reads beside what every procedure reads."""
        paths = list(CONFIGURATION)
        for name, value in variables.items():
            # What the server's own environment names.
            if name.startswith("PIP_") or name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
                paths += [word for word in value.split() if word[:1] == "/"]
        # An interpreter of a virtual environment has its packages there, pip among them.
        environment = os.path.dirname(os.path.dirname(sys.executable))
        if os.path.exists(os.path.join(environment, "pyvenv.cfg")):
            paths.append(environment)
        return paths

    @staticmethod
    def variables(build):
        kept = {name: value for name, value in os.environ.items()
                if name in PASSED or name.startswith("PIP_") and name not in NOT_PASSED}
        kept.update(HOME=os.path.join(build, "home"), TMPDIR=os.path.join(build, "tmp"), PYTHONNOUSERSITE="1")
        return kept

    def command(self):
        words = [
            sys.executable, "-I", "-c", PIP % (not self.allows_source, FLAG), "install", "--no-input", "--no-color",
            "--progress-bar", "off", "--disable-pip-version-check", "--no-warn-script-location", "--no-cache-dir",
            "--retries", "2", "--timeout", "15", "--root-user-action", "ignore", "--target", "site", "-r",
            "requirements.txt"]
        return words if self.allows_source else words + ["--only-binary", ":all:"]

    def watch(self, pid, words, build):
        """Passes on what pip says until it has ended; kills it when it takes too long or too much."""
        looked = time.monotonic()
        said, partial = [], b""
        poll = select.poll()
        poll.register(words, select.POLLIN)
        poll.register(self.control, select.POLLIN)
        while True:
            self.check_time()
            now = time.monotonic()
            if now - looked >= LOOK_SECONDS:
                looked = now
                if size(build) > TREE_BYTES:
                    raise Failed("what is installed has more than %d bytes, the limit" % TREE_BYTES)
            events = dict(poll.poll(max(1, min(self.ending - now, LOOK_SECONDS) * 1000)))
            if words not in events:
                continue
            data = os.read(words, 16384)
            if not data:
                break
            *whole, partial = (partial + data).split(b"\n")
            for line in whole:
                text = line.decode("utf-8", "replace").strip()[:LINE_BYTES]
                if text:
                    said.append(text)
                    self.send(INSTALL_SAYS, text)
            del said[:-LINES_KEPT]
            partial = partial[-LINE_BYTES:]
        os.close(words)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status != 0:
            raise Failed(reason(said + [partial.decode("utf-8", "replace").strip()], status,
                                self.allows_source))

    def end_programs(self):
        """Kills whatever pip has left behind, and waits until it is gone."""
        ending = time.monotonic() + END_SECONDS
        while True:
            kill_descendants()
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            if time.monotonic() > ending:
                raise Failed("what pip started does not end")
            time.sleep(KILL_SECONDS)


def main():
    """The program: `control=N` names the descriptor of its socket, `filters=N` that of the filters of system calls."""
    control, filters, options = read_arguments()
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    libc = ctypes.CDLL(None, use_errno=True)
    has_namespaces, _, folder = go_on_in_a_child(libc, control, options["namespaces"])
    Installer(libc, control, Confinement(libc, filters, has_namespaces, False), folder).run()
    os._exit(0)
