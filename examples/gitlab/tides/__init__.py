"""When is the next high water? A tide comes every 12 hours and 25 minutes."""

PERIOD_MIN = 745


def next_high(known: int, now: int) -> int:
    """The first high water at or after `now`, from one that is known; both in minutes."""
    return known + -(-(now - known) // PERIOD_MIN) * PERIOD_MIN
