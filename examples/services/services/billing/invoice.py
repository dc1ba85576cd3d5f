"""What a customer owes."""

from services.shared.money import total


def owed(prices: list[int], paid: int) -> int:
    return max(0, total(prices) - paid)
