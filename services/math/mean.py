from statistics import fmean


def mean(numbers):
    if not numbers:
        raise ValueError("the mean of no numbers at all")
    return fmean(numbers)
