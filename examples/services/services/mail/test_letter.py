from unittest import TestCase

from services.mail.letter import letter


class Letter(TestCase):
    def test_it_names_the_sum(self) -> None:
        assert "3.00" in letter([100, 200])
