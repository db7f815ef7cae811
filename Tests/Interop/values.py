"""The procedures of the service `values`, which the tests call natively and through gRPC."""

import time

import rpc


def same(value):
    return value


an_int = a_float = a_str = some_bytes = a_bool = lists = a_dict = maybe = anything = same


def kind(value):
    return repr(value)


def size(value):
    return len(value)


def nothing():
    pass


def blob(body, size):
    return bytes(size)


def metadata(name):
    value = rpc.metadata(name)
    return value if isinstance(value, str) else repr(value)


def fail(message):
    raise ValueError(message)


def sleep(seconds):
    time.sleep(seconds)
