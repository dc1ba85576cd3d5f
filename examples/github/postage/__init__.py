"""What a letter costs, by its weight in grams."""

STEPS = ((20, 95), (50, 110), (500, 180), (1000, 290))


def cents(grams: int) -> int:
    """Raises ValueError for what is no letter."""
    if grams <= 0:
        raise ValueError("a letter weighs something")
    for most, price in STEPS:
        if grams <= most:
            return price
    raise ValueError("that is a parcel")
