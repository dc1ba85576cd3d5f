"""What a basket costs holds for every small basket, whatever the order of its lines."""

import itertools
import unittest

from shop import pricing

PRICES = (1, 99, 450, 3_990)
VOUCHERS = (
    None,
    pricing.Voucher(cents=500, least=2_000),
    pricing.Voucher(basis_points=1_000),
    pricing.Voucher(cents=10**9),
)


def baskets(quantities):
    for chosen in itertools.product(quantities, repeat=len(PRICES)):
        lines = [pricing.Line(i, chosen[i], PRICES[i]) for i in range(len(PRICES)) if chosen[i]]
        if lines:
            yield lines


class Bills(unittest.TestCase):
    def test_parts_add_up_and_nothing_is_paid_to_the_customer(self):
        for lines in baskets((0, 1, 4, 5, 9, 10, 11, 25)):
            for voucher in VOUCHERS:
                bill = pricing.bill(lines, voucher)
                self.assertEqual(sum(bill["parts"]), bill["total"])
                self.assertEqual(bill["goods"] - bill["off"], bill["total"])
                self.assertGreaterEqual(min(bill["parts"]), 0)
                self.assertTrue(0 <= bill["tax"] <= bill["total"])

    def test_the_order_of_lines_does_not_matter(self):
        for lines in baskets((0, 1, 2, 10)):
            totals = {pricing.bill(list(order), VOUCHERS[2])["total"] for order in itertools.permutations(lines)}
            self.assertEqual(len(totals), 1)

    def test_more_of_a_product_within_a_step_never_costs_less(self):
        for price in range(0, 400, 3):
            for first, last in ((1, 4), (5, 9), (10, 60)):
                costs = [pricing.line_total(pricing.Line("x", n, price)) for n in range(first, last + 1)]
                self.assertEqual(costs, sorted(costs))

    def test_a_voucher_waits_for_its_least_total(self):
        voucher = pricing.Voucher(cents=500, least=2_000)
        self.assertEqual([voucher.off(total) for total in (1_999, 2_000, 2_001)], [0, 500, 500])

    def test_a_line_of_nothing_is_refused(self):
        for quantity, price in ((0, 1), (-1, 1), (1, -1)):
            with self.subTest(quantity=quantity, price=price), self.assertRaises(ValueError):
                pricing.Line("x", quantity, price)
