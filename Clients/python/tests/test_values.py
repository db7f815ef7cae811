"""Values and the names of their types."""

import enum
import random
import struct
import unittest

import support  # noqa: F401

from simplerpc.values import describe, pack, pack_arguments, unpack, unpack_values


def model(value):
    """MessagePack as its specification reads, without a thought for speed."""
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        forms = [(0, 127, "", 0)] if value >= 0 else [(-32, -1, "b", None)]
        if 0 <= value <= 127:
            return bytes([value])
        if -32 <= value < 0:
            return struct.pack("b", value)
        forms = "BHIQ" if value > 0 else "bhiq"
        for index, form in enumerate(forms):
            try:
                return bytes([(0xCC if value > 0 else 0xD0) + index]) + struct.pack(">" + form, value)
            except struct.error:
                pass
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        return head(len(value.encode()), 0xA0, 32, [(0xD9, "B"), (0xDA, "H"), (0xDB, "I")]) + value.encode()
    if isinstance(value, bytes):
        return head(len(value), 0, 0, [(0xC4, "B"), (0xC5, "H"), (0xC6, "I")]) + value
    if isinstance(value, list):
        return head(len(value), 0x90, 16, [(0xDC, "H"), (0xDD, "I")]) + b"".join(map(model, value))
    return head(len(value), 0x80, 16, [(0xDE, "H"), (0xDF, "I")]) + b"".join(model(k) + model(v) for k, v in value.items())


def head(count, fix, below, forms):
    if count < below:
        return bytes([fix | count])
    for first, form in forms:
        try:
            return bytes([first]) + struct.pack(">" + form, count)
        except struct.error:
            pass


def types(values):
    """The rule of section 4, word for word."""
    if not values:
        return "?"
    kinds = {None if v is None else type(v) for v in values}
    if None in kinds:
        rest = [v for v in values if v is not None]
        return f"Optional[{types(rest)}]" if rest else "None"
    if kinds == {int, float}:
        return "float"
    if len(kinds) > 1:
        return "Any"
    kind = kinds.pop()
    if kind is list:
        return f"List[{types([item for value in values for item in value])}]"
    if kind is dict:
        return f"Dict[str, {types([item for value in values for item in value.values()])}]"
    return kind.__name__


def any_value(chance, depth=0):
    kind = chance.randrange(8 if depth < 4 else 6)
    if kind == 0:
        return chance.choice([None, True, False])
    if kind == 1:
        bits = chance.randrange(64)
        return chance.choice([1, -1]) * chance.randrange(1 << bits)
    if kind == 2:
        return chance.choice([0.0, -0.0, 1.5, float("inf"), chance.uniform(-1e9, 1e9)])
    if kind == 3:
        return "".join(chance.choice("aé漢😀\0") for _ in range(chance.choice([0, 1, 15, 16, 31, 32, 100, 300])))
    if kind == 4:
        return bytes(chance.randrange(256) for _ in range(chance.choice([0, 1, 255, 256])))
    if kind == 5:
        return chance.randrange(-200, 200)
    if kind == 6:
        return [any_value(chance, depth + 1) for _ in range(chance.choice([0, 1, 2, 15, 16]))]
    return {f"k{index}": any_value(chance, depth + 1) for index in range(chance.choice([0, 1, 3, 15, 16]))}


class Values(unittest.TestCase):
    def test_random_values_are_written_as_the_model_writes_them_and_read_back(self):
        chance = random.Random(14)
        for _ in range(1500):
            value = any_value(chance)
            self.assertEqual(pack(value), model(value), repr(value)[:200])
            self.assertEqual(unpack(pack(value)), value)
            self.assertEqual(describe(value), types([value]), repr(value)[:200])
            values = [any_value(chance, 2) for _ in range(chance.choice([0, 1, 2, 16]))]
            self.assertEqual(pack_arguments(values), model(values))
            self.assertEqual(unpack_values(model(values)), tuple(values))

    def test_whatever_the_bytes_are_only_a_value_or_a_value_error_comes_of_them(self):
        chance = random.Random(15)
        for _ in range(3000):
            data = bytearray(pack(any_value(chance)))
            for _ in range(chance.randrange(4)):
                if data:
                    data[chance.randrange(len(data))] = chance.randrange(256)
            data = bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.5 else data)
            for read in (unpack, unpack_values):
                try:
                    read(data)
                except ValueError:
                    pass

    def test_64_levels_travel_and_65_do_not(self):
        value = 1
        for _ in range(64):
            value = [value]
        self.assertEqual(unpack(pack(value)), value)
        self.assertEqual(unpack_values(pack_arguments([value])), (value,))
        self.assertTrue(describe(value).startswith("List[" * 64 + "int"))
        for deeper in ([value], {"a": value}):
            for action in (pack, describe, lambda deeper: pack_arguments([deeper])):
                self.assertRaisesRegex(ValueError, "deeper than 64 levels", action, deeper)
        self.assertRaisesRegex(ValueError, "deeper than 64 levels", unpack, b"\x91" + pack(value))
        endless = []
        endless.append(endless)
        for action in (pack, describe):
            self.assertRaisesRegex(ValueError, "deeper than 64 levels", action, endless)

    def test_what_has_no_place_in_the_protocol_is_refused_by_name(self):
        for value, error, says in [
            (1 << 63, OverflowError, "64 bits does not fit"), (-(1 << 63) - 1, OverflowError, "64 bits"),
            (1j, TypeError, "a complex cannot travel"), ({1: 2}, TypeError, "must be str, not int"),
            ([object()], TypeError, "a object cannot travel"), ("\ud800", ValueError, "surrogates not allowed"),
        ]:  # fmt: skip
            self.assertRaisesRegex(error, says, pack, value)
        self.assertEqual(pack((1 << 63) - 1), b"\xcf\x7f" + b"\xff" * 7)
        self.assertEqual(pack(-(1 << 63)), b"\xd3\x80" + b"\0" * 7)

    def test_instances_of_subclasses_travel_as_what_they_are(self):
        class Colour(enum.IntEnum):
            RED = 300

        class Name(str):
            def __str__(self):
                return "something else"

        for value, plain in [(Colour.RED, 300), (Name("n"), "n"), ((1, 2), [1, 2]), (bytearray(b"ab"), b"ab"), (memoryview(b"x"), b"x")]:
            self.assertEqual(pack(value), pack(plain))
            self.assertEqual(describe(value), describe(plain))


if __name__ == "__main__":
    unittest.main()
