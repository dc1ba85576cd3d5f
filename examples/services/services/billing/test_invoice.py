from unittest import TestCase

from services.billing.invoice import owed


class Invoice(TestCase):
    def test_nobody_owes_less_than_nothing(self) -> None:
        assert owed([100], 300) == 0
