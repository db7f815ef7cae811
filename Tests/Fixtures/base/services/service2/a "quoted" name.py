def rpc3(factor, numbers):
    return ", ".join(str(factor * number) for number in numbers)
