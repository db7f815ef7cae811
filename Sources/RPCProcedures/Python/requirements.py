"""What a file of requirements may say, its lines as pip reads them, and what pip says why it cannot be installed."""

import re
import shlex
import sys

# Options that say where packages come from, and nothing that has code run or files read.
GLOBAL_OPTIONS = {
    "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--trusted-host", "--pre",
    "--prefer-binary", "--only-binary", "--require-hashes",
}
OTHER_FILES = {"-r", "--requirement", "-c", "--constraint", "-e", "--editable"}
SOURCE_OPTIONS = {"--no-binary", "--config-settings", "--global-option"}
COMMENT = re.compile(r"(^|\s+)#.*$")
# In `NewConnectionError('<… object at 0x…>: Failed to …')`: what is behind the object.
OBJECT = re.compile(r">: (.*?)'\)")
FLAG = "start the server with --allow-source-builds"


class Refused(Exception):
    pass


def lines(text):
    """The number and the text of each line, with those that a backslash continues as one, without comments."""
    pending, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if pending else number
        is_comment = COMMENT.match(line)
        if line.endswith("\\") and not is_comment:
            pending += line.strip("\\") or " "
            continue
        yield first, COMMENT.sub("", pending + (" " if is_comment else "") + line).strip()
        pending = ""
    if pending:
        yield first, COMMENT.sub("", pending).strip()


def check(text, allows_source):
    """Refuses what the servers do not have, and what would run code of packages where that is not allowed. Returns the text
    for pip: what was looked at and nothing else, each line where it was."""
    checked = []
    for number, line in lines(text):
        checked += [""] * (number - 1 - len(checked)) + [line]
        if line:
            check_line(number, line, allows_source)
    return "\n".join(checked) + "\n"


def check_line(number, line, allows_source):
    def refuse(what, why):
        raise Refused("line %d: '%s' %s" % (number, clip(what), why))

    if "${" in line:
        refuse(line, "has a variable, and those of the servers are not for packages: write out what is in it")
    # As pip does: a requirement, then options.
    words = line.split()
    count = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    try:
        options = shlex.split(" ".join(words[count:]))
    except ValueError:
        refuse(line, "has a quotation mark without its other half")
    for index, word in enumerate(options):
        name, _, value = word.partition("=")
        if not word.startswith("-"):
            continue
        if name in OTHER_FILES or word[:2] in OTHER_FILES and not word.startswith("--"):
            refuse(line, "names another file, which this server does not have: write out what is in it")
        if name in SOURCE_OPTIONS:
            if not allows_source:
                refuse(line, "is not allowed here: " + FLAG)
        elif name not in GLOBAL_OPTIONS and name != "--hash":
            refuse(line, "is not allowed here")
        if name == "--only-binary" and not allows_source and ":none:" in (value or "".join(options[index + 1:index + 2])):
            refuse(line, "is not allowed here: " + FLAG)
    if count and not allows_source and not is_wheel_or_name(" ".join(words[:count])):
        refuse(line, "is not a wheel, and building one runs its code: " + FLAG)


def is_wheel_or_name(requirement):
    """A requirement that is not found by its name but said to be somewhere must be a wheel."""
    name, at, place = requirement.partition("@")
    place = (place if at else name).partition(" ;")[0].strip()
    if not at and not place.startswith(".") and "/" not in place.partition(";")[0] \
            and not place.endswith((".zip", ".gz", ".bz2", ".xz", ".whl")):
        return True
    return place.partition("#")[0].partition("?")[0].endswith(".whl")


def reason(said, status, allows_source):
    """Why pip failed, in its own words."""
    said = [line for line in said if line]
    if any("No module named pip" in line for line in said):
        return "Python %d.%d on this server has no pip" % sys.version_info[:2]
    found = []
    for before, line in zip(["", *said], said):
        # What it tries again, it says each time.
        if line.startswith("WARNING: Retrying"):
            cause = line.rpartition("after connection broken by")[2].strip(" '\"")
            known = OBJECT.search(cause)
            line = "no connection: " + (known.group(1) if known else cause)
        elif line.startswith("\u00d7 "):
            # Of a program that it started, whose output follows.
            line = line[2:]
        elif line == "[end of output]":
            line = before
        elif line.startswith(("ERROR:", "WARNING:")):
            line = line.partition(":")[2].strip()
        else:
            continue
        if line and line not in found:
            found.append(line)
    if found and found[-1] == "Exception:":
        # A traceback follows, whose last line says what it was.
        found[-1] = said[-1].partition(": ")[2] or said[-1]
    found = found[-4:] or said[-3:]
    if not allows_source and any("No matching distribution" in line for line in found):
        found[-1] += " (wheels alone are taken: to build packages, %s)" % FLAG
    if found and "Permission denied: '/" in found[-1]:
        found[-1] += " (folders of packages have to be named in 'read' of the service)"
    if not found:
        return "pip ended with %s" % ("signal %d" % -status if status < 0 else "exit status %d" % status)
    return "; ".join(found)


def clip(text):
    return text if len(text) <= 120 else text[:120] + "…"
