"""The next high water, from one that is known."""

import unittest

from tides import PERIOD_MIN, next_high


class NextHigh(unittest.TestCase):
    def test_high_water_itself_is_the_next(self) -> None:
        self.assertEqual(next_high(100, 100), 100)

    def test_it_comes_once_a_period(self) -> None:
        self.assertEqual(next_high(100, 101), 100 + PERIOD_MIN)

    def test_it_may_be_known_from_long_after(self) -> None:
        self.assertEqual(next_high(100 + 3 * PERIOD_MIN, 50), 100)
