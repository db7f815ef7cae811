# The overload of text.concat for two numbers: the same name, other types, a file of its own.


def concat(first, second):
    return int(f"{first}{abs(second)}")
