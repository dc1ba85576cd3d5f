"""What is written to a customer."""

from services.shared.money import total


def letter(prices: list[int]) -> str:
    return f"You bought {len(prices)} things for {total(prices) / 100:.2f}."
