def rpc1(first, second):
    return first + second
