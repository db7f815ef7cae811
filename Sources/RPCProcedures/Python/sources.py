"""Sources and the procedures in them."""

import inspect
import sys
import types

from .errors import FAILED_PRECONDITION, NOT_EXECUTED, Failure, exception_message, raising_line
from .hints import check_hints
from .limits import Limits
from .spelling import clip
from .values import converter, describe, encoder, parse_type


class Unit:
    """A procedure that this worker can call, or why it cannot."""

    def __init__(self, name, source_name, parameters, returns, memory):
        self.name = name
        self.source_name = source_name
        self.parameters = parameters
        self.converters = [converter(parse_type(text)) for text in parameters]
        if not any(self.converters):
            self.converters = None
        self.returns = returns
        self.encoders = [encoder(parse_type(text)) for text in returns]
        self.memory = memory or Limits.memory
        self.function = None
        self.failure = None
        # What the top level of its source left, of what `State` keeps.
        self.state = None


def make_module(digest, source_name, text):
    """Runs the top level of a source."""
    module = types.ModuleType("procedure_" + digest[:16])
    module.__file__ = source_name
    try:
        code = compile(text, source_name, "exec", dont_inherit=True)
        sys.modules[module.__name__] = module
        exec(code, module.__dict__)
    except BaseException as error:
        sys.modules.pop(module.__name__, None)
        raise Failure(
            exception_message(error), NOT_EXECUTED, raising_line(error, source_name),
            "FailedPrecondition", FAILED_PRECONDITION) from None
    return module


def find_function(module, entry, function, source_name, is_new):
    """What runs a procedure's calls: its function, if that takes what is declared. Of one that is to be deployed the
    hints are compared too: what is served already goes on being served."""
    try:
        found = module.__dict__[function]
    except KeyError:
        raise Failure(
            "%s has no function '%s'" % (source_name, function), NOT_EXECUTED,
            source_name, "FailedPrecondition", FAILED_PRECONDITION) from None
    check_arity(entry, found, function, source_name)
    if is_new:
        check_hints(entry, found, function, source_name)
    if inspect.iscoroutinefunction(found):
        import asyncio

        return lambda *arguments: asyncio.run(found(*arguments))
    return found


def check_arity(entry, found, function, source_name):
    line = getattr(getattr(found, "__code__", None), "co_firstlineno", None)
    where = source_name if line is None else "%s:%d" % (source_name, line)
    if not callable(found):
        raise Failure("'%s' is %s, not a function" % (function, describe(found)), NOT_EXECUTED, where,
                      "FailedPrecondition", FAILED_PRECONDITION)
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*entry.parameters)
    except TypeError:
        raise Failure(
            "%s%s does not take the %d arguments that are declared" % (
                function, clip(str(signature), 200), len(entry.parameters)),
            NOT_EXECUTED, where, "FailedPrecondition", FAILED_PRECONDITION) from None
