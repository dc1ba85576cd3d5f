"""An order is open until nothing is owed."""

from services.billing.invoice import owed


def is_open(prices: list[int], paid: int) -> bool:
    return owed(prices, paid) > 0
