from unittest import TestCase

from services.orders.order import is_open


class Order(TestCase):
    def test_it_closes_when_paid(self) -> None:
        assert not is_open([100], 100)
