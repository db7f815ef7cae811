# A procedure is a function with the procedure's name. Its arguments arrive as the declared types.


def concat(number, text):
    return f"{number}{text}"
