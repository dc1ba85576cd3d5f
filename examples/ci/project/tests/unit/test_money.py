"""Money is tried out on every small amount, not on a few chosen ones."""

import itertools
import unittest
from fractions import Fraction

from shop import money


class Amounts(unittest.TestCase):
    def test_what_is_shown_is_read_back(self):
        for cents in range(600_000):
            self.assertEqual(money.parse(money.show(cents)), cents)

    def test_short_forms_are_read(self):
        self.assertEqual([money.parse(text) for text in ("7", "7.5", "7.05", "0.99")], [700, 750, 705, 99])

    def test_anything_else_is_refused(self):
        for text in ("", ".", "1.", "1.234", "-1", "+1", " 1", "1,5", "1e3", "٣", "1.٣"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                money.parse(text)

    def test_a_share_is_the_nearest_cent_and_even_where_two_are_near(self):
        for cents in range(2_000):
            for basis_points in range(0, 10_001, 125):
                exact = Fraction(cents * basis_points, 10_000)
                self.assertEqual(money.share(cents, basis_points), round(exact))


class Splits(unittest.TestCase):
    def test_no_cent_is_lost_and_none_is_off_by_more_than_one(self):
        for weights in itertools.product(range(7), repeat=3):
            total = sum(weights)
            if not total:
                continue
            for cents in range(700):
                parts = money.split(cents, weights)
                self.assertEqual(sum(parts), cents)
                for part, weight in zip(parts, weights):
                    self.assertLess(abs(part * total - cents * weight), total)

    def test_equal_weights_differ_by_one_cent_at_most(self):
        for parts in range(1, 40):
            for cents in range(500):
                shares = money.split(cents, [1] * parts)
                self.assertLessEqual(max(shares) - min(shares), 1)
                self.assertEqual(shares, sorted(shares, reverse=True))

    def test_nothing_to_go_by_is_refused(self):
        for weights in ([0], [0, 0], [3, -1]):
            with self.subTest(weights=weights), self.assertRaises(ValueError):
                money.split(100, weights)
