PRICES = {"tea": 2.5, "coffee": 3.2, "cake": 4.0}


def price(item):
    if item not in PRICES:
        raise KeyError(f"there is no {item}; there is {', '.join(PRICES)}")
    return PRICES[item]


def total(basket):
    return sum(price(item) * count for item, count in basket.items())
