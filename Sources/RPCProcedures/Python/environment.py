"""Virtual environments, each for one file of requirements and one version of Python."""

import ctypes
import os
import re
import stat
import sys

# Where the packages are in one.
SITE = "lib/python%d.%d/site-packages" % sys.version_info[:2]
# What a folder is called until it is whole, and while it is being removed.
UNUSED = ".new", ".old"
# What pip begins a program of a package with: the interpreter, or a shell that runs it where its path is long.
START = re.compile(rb"#![^\n]*python[^\n]*\n|#!/bin/sh\n'''exec' [^\n]*python[^\n]*\n' '''\n")


def name_of(packages):
    """An environment's folder; what a file of requirements asks for is another thing for each version."""
    return "%s-%d.%d" % (packages, *sys.version_info[:2])


def complete(folder):
    """Makes a folder with packages an environment: programs that are started from its `bin` have them."""
    base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    with open(os.path.join(folder, "pyvenv.cfg"), "w") as file:
        file.write("home = %s\ninclude-system-site-packages = false\nversion = %d.%d.%d\n" % (
            os.path.dirname(base), *sys.version_info[:3]))
    programs = os.path.join(folder, "bin")
    os.mkdir(programs)
    for name in "python", "python3", "python%d.%d" % sys.version_info[:2]:
        os.symlink(base, os.path.join(programs, name))
    installed = os.path.join(folder, SITE, "bin")
    if not os.path.isdir(installed) or os.path.islink(installed):
        return
    for name in os.listdir(installed):
        old, new = os.path.join(installed, name), os.path.join(programs, name)
        if os.path.lexists(new) or not stat.S_ISREG(os.lstat(old).st_mode):
            continue
        with open(old, "rb") as file:
            text = file.read()
        first = START.match(text)
        with open(new, "wb") as file:
            # They find the interpreter beside them wherever the folder is.
            file.write(b"#!/usr/bin/env python3\n" + text[first.end():] if first else text)
        os.chmod(new, 0o755)


def make_readable(folder):
    """Whatever their packages say, files are for everybody to read and for nobody but the server to write."""
    for parent, folders, files in os.walk(folder):
        os.chmod(parent, 0o755)
        for name in folders + files:
            path = os.path.join(parent, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                os.chmod(path, 0o755 if mode & 0o100 else 0o644)
            elif not stat.S_ISDIR(mode) and not stat.S_ISLNK(mode):
                os.remove(path)


def size(folder):
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                pass
    return total


def sync(folder):
    """Has all that was written reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        ctypes.CDLL(None, use_errno=True).syncfs(descriptor)
    finally:
        os.close(descriptor)
