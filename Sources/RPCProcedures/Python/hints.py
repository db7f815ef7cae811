"""The type hints of a function, compared with what is declared: what contradicts is refused before anybody calls it."""

import collections.abc
import inspect
import types
import typing

from .errors import FAILED_PRECONDITION, NOT_EXECUTED, Failure
from .spelling import clip
from .values import parse_type

# Which declared types a value of that class can be of, as an argument and as what is returned. A class that is not here
# says nothing that could be compared.
TAKES = {
    int: {"int", "bool"}, float: {"int", "float"}, complex: {"int", "float"}, bool: {"bool"}, str: {"str"},
    bytes: {"bytes"}, bytearray: set(), memoryview: set(), list: {"List"}, tuple: set(), dict: {"Dict"}, set: set(),
    frozenset: set(), type(None): {"None"},
}
GIVES = {
    int: {"int", "float"}, float: {"float"}, complex: set(), bool: {"bool"}, str: {"str"},
    bytes: {"bytes"}, bytearray: {"bytes"}, memoryview: {"bytes"}, list: {"List"}, tuple: {"List"}, dict: {"Dict"},
    set: set(), frozenset: set(), type(None): {"None"},
}
abc = collections.abc
SEQUENCES = abc.Sequence, abc.MutableSequence
COLLECTIONS = abc.Collection, abc.Iterable, abc.Container, abc.Reversible, abc.Sized
MAPPINGS = abc.Mapping, abc.MutableMapping
for table in TAKES, GIVES:
    table.update({kind: {"List"} for kind in SEQUENCES})
    table.update({kind: {"Dict"} for kind in MAPPINGS})
UNIONS = {typing.Union, getattr(types, "UnionType", typing.Union)}
UNKNOWN = object()


def check_hints(entry, found, function, source_name):
    """Refuses a function whose hints contradict the types that its procedure declares. A hint that cannot be resolved,
    and one of a function that a decorator has wrapped, says nothing."""
    if not isinstance(found, types.FunctionType) or hasattr(found, "__wrapped__"):
        return
    hints = annotations(found)
    if not hints:
        return
    try:
        signature = inspect.signature(found)
        bound = signature.bind(*entry.parameters).arguments
    except Exception:
        return

    def refuse(what, hint, declared):
        raise Failure(
            "%s is hinted as %s, but declared as %s" % (what, spell(hint), declared), NOT_EXECUTED,
            "%s:%d" % (source_name, found.__code__.co_firstlineno), "FailedPrecondition", FAILED_PRECONDITION)

    for name, texts in bound.items():
        hint = hints.get(name, UNKNOWN)
        meant = resolve(hint, found.__globals__)
        takes_none = signature.parameters[name].default is None
        for text in texts if isinstance(texts, tuple) else [texts]:
            declared = parse_type(text)
            if takes_none and declared[0] == "Optional":
                declared = declared[1]
            if not takes(meant, TAKES, declared):
                refuse("the parameter '%s' of %s" % (name, function), hint, text)
    hint = hints.get("return", UNKNOWN)
    if not gives(resolve(hint, found.__globals__), GIVES, [parse_type(text) for text in entry.returns]):
        refuse("what %s returns" % function, hint, "[%s]" % ", ".join(entry.returns))


def annotations(found):
    """Also where looking at one fails, as it may since Python 3.14."""
    try:
        return found.__annotations__
    except Exception:
        pass
    try:
        import annotationlib

        return annotationlib.get_annotations(found, format=annotationlib.Format.FORWARDREF)
    except Exception:
        return {}


def resolve(hint, names):
    """What a hint stands for; text is read as Python reads it where it stands."""
    for _ in range(4):
        if isinstance(hint, typing.ForwardRef):
            hint = hint.__forward_arg__
        if not isinstance(hint, str):
            return hint
        try:
            hint = eval(compile(hint, "<hint>", "eval", dont_inherit=True), names)
        except Exception:
            return UNKNOWN
    return UNKNOWN


class Reading:
    """A hint taken apart: its class and what stands in brackets behind it."""

    def __init__(self, hint):
        while hasattr(hint, "__metadata__") or hasattr(hint, "__supertype__"):
            # `Annotated` and `NewType`.
            hint = hint.__origin__ if hasattr(hint, "__metadata__") else hint.__supertype__
        self.kind = type(None) if hint is None else typing.get_origin(hint) or hint
        self.parts = typing.get_args(hint)
        try:
            hash(self.kind)
        except Exception:
            self.kind = UNKNOWN


def says_nothing(kind):
    return kind is UNKNOWN or kind is typing.Any or kind is object or kind in COLLECTIONS


def takes(hint, table, declared):
    """Whether every value of the declared type is one of the hint."""
    reading = Reading(resolve(hint, {}))
    kind = reading.kind
    if says_nothing(kind):
        return True
    shape = declared[0]
    if shape in ("Any", "?"):
        return True
    if kind in UNIONS:
        if shape == "Optional":
            return has_none(reading) and takes(hint, table, declared[1])
        return any(takes(part, table, declared) for part in reading.parts)
    if shape == "Optional":
        # It would be given None too.
        return kind not in table
    return fits(reading, table, declared, takes)


def gives(hint, table, declared):
    """Whether the values of the hint can be what is declared, of which there may be none or several."""
    reading = Reading(hint)
    if says_nothing(reading.kind) or reading.kind in (typing.NoReturn, getattr(typing, "Never", None)):
        return True
    if len(declared) == 1:
        return gives_one(hint, table, declared[0])
    if not declared:
        return reading.kind is type(None) or reading.kind not in table
    if reading.kind is tuple:
        parts = reading.parts
        if not parts:
            return True
        if len(parts) == 2 and parts[1] is Ellipsis:
            parts = parts[:1] * len(declared)
        return len(parts) == len(declared) and all(
            gives_one(part, table, one) for part, one in zip(parts, declared))
    return reading.kind in (list, *SEQUENCES) or reading.kind not in table


def gives_one(hint, table, declared):
    reading = Reading(resolve(hint, {}))
    kind = reading.kind
    shape = declared[0]
    if says_nothing(kind) or shape in ("Any", "?"):
        return True
    if kind in UNIONS:
        return all(gives_one(part, table, declared) for part in reading.parts)
    if shape == "Optional":
        return kind is type(None) or gives_one(hint, table, declared[1])
    return fits(reading, table, declared, gives_one)


def fits(reading, table, declared, inner):
    if reading.kind not in table:
        return True
    if declared[0] not in table[reading.kind]:
        return False
    parts = [part for part in reading.parts if part is not Ellipsis and not isinstance(part, typing.TypeVar)]
    if declared[0] == "List" and len(parts) == 1:
        return inner(parts[0], table, declared[1])
    if declared[0] == "List" and reading.kind is tuple:
        return all(inner(part, table, declared[1]) for part in parts)
    if declared[0] == "Dict" and len(parts) == 2:
        return Reading(parts[0]).kind in (str, typing.Any, object) and inner(parts[1], table, declared[1])
    return True


def has_none(reading):
    return any(Reading(part).kind in (type(None), typing.Any, object) for part in reading.parts)


def spell(hint):
    if isinstance(hint, str):
        return clip(hint.strip("'\""), 200)
    text = inspect.formatannotation(hint) if hint is not None else "None"
    return clip(text.replace("typing.", ""), 200)
