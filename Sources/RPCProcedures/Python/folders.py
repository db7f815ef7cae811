"""The folders of workers: the one in which each may write, and that of what it is given."""

import errno
import fcntl
import os
import stat
import tempfile


# Above the descriptors that the server gave.
LOWEST_KEPT = 10


def open_above(path, flags):
    """Opens a file, but not where the program was read from: traces look for its lines there."""
    opened = os.open(path, flags | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, LOWEST_KEPT)
    finally:
        os.close(opened)


def make_folder():
    """A folder for those of the workers, which others may pass but not look into."""
    folder = tempfile.mkdtemp(prefix="rpc-workers-")
    os.chmod(folder, 0o711)
    # Which folder that was in is not what workers are to find.
    tempfile.tempdir = None
    return folder


class Folders:
    """Those of all workers, by worker."""

    def __init__(self):
        # In which those are that workers may write; nobody looks into it.
        self.root = None
        self.known = {}

    def make(self, worker, parent, order, confinement):
        """A folder of the worker's own, in one that all may pass."""
        if self.root is None:
            raise OSError(errno.ENOSYS, "no folder for workers")
        if parent != self.root and not os.path.isdir(parent):
            os.mkdir(parent)
            os.chmod(parent, 0o711)
        folder = os.path.join(parent, str(worker))
        os.mkdir(folder, 0o700)
        self.known.setdefault(worker, []).append(folder)
        if order.is_confined:
            confinement.give(folder, order.service)
        return folder

    def forget(self, worker):
        """Removes those of a worker that are empty, and returns the others."""
        left = []
        for folder in self.known.pop(worker, ()):
            try:
                os.rmdir(folder)
            except OSError:
                left.append(folder)
        return left


def empty(folder):
    """Removes what is in a folder, whatever it is: nesting without end and directories without rights too. No path ever
    has more than two parts: what is nested deeper is moved up first."""
    number = 0
    for _ in range(4):
        try:
            top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return
        try:
            while True:
                names = os.listdir(top)
                if not names:
                    return
                for name in names:
                    if not is_directory(name, top):
                        os.unlink(name, dir_fd=top)
                        continue
                    open_up(name, top)
                    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
                    try:
                        for entry in os.listdir(inner):
                            if is_directory(entry, inner):
                                open_up(entry, inner)
                                number += 1
                                os.rename(entry, "rpc-moved-%d-%d" % (os.getpid(), number), src_dir_fd=inner,
                                          dst_dir_fd=top)
                            else:
                                os.unlink(entry, dir_fd=inner)
                    finally:
                        os.close(inner)
                    os.rmdir(name, dir_fd=top)
        except OSError:
            # Something was changed meanwhile.
            continue
        finally:
            os.close(top)


def remove(folder):
    empty(folder)
    try:
        os.rmdir(folder)
    except OSError:
        pass


def is_directory(name, at):
    return stat.S_ISDIR(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)


def open_up(name, at):
    """A directory whose owner gave up its rights."""
    if os.stat(name, dir_fd=at, follow_symlinks=False).st_mode & 0o700 != 0o700:
        os.chmod(name, 0o700, dir_fd=at)
