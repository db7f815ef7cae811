def rpc1(number, text):
    return str(number) + text
