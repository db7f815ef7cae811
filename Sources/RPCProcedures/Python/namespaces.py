"""Process ids of the workers' own, where the kernel allows that."""

import ctypes
import os

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
CLONE_NEWIPC, CLONE_NEWNET = 0x08000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 15, 36, 38
PR_CAPBSET_DROP, CAPABILITIES = 24, 64
CAPABILITY_VERSION_3 = 0x20080522


def enter_namespaces(libc):
    """The next process that is forked is the first of a process id namespace, seen from which there are no others
    than its own descendants: they can signal nobody else, and the kernel kills them all when it ends. An ordinary
    user needs a user namespace for that, in which it stays who it is."""
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWPID | CLONE_NEWNS | (CLONE_NEWUSER if uid != 0 else 0)) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if uid != 0:
        maps = ("setgroups", "deny"), ("uid_map", "%d %d 1" % (uid, uid)), ("gid_map", "%d %d 1" % (gid, gid))
        for name, text in maps:
            with open("/proc/self/" + name, "w") as file:
                file.write(text)


def mount_proc(libc):
    """A /proc that shows this namespace's processes."""
    if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0 \
            or libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None) != 0:
        raise OSError(ctypes.get_errno(), "mount /proc")


def drop_capabilities(libc):
    """Gives up what a user namespace gave to its first process."""
    for capability in range(CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    return libc.capset(header, (ctypes.c_uint32 * 6)()) == 0


def namespaces_are_allowed(libc):
    """Tries it in a process of its own: half of it done could not be undone."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            enter_namespaces(libc)
            first = os.fork()
            if first == 0:
                mount_proc(libc)
                os._exit(0 if os.getpid() == 1 else 1)
            status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
        except Exception:
            pass
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def may_enter_namespaces(libc):
    try:
        return namespaces_are_allowed(libc)
    except Exception:
        return False
