from unittest import TestCase

from services.shared.money import total


class Money(TestCase):
    def test_cents_add_up(self) -> None:
        assert total([199, 1]) == 200
