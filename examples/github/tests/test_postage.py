"""What letters cost."""

import unittest

from postage import cents


class Cents(unittest.TestCase):
    def test_the_last_gram_of_a_step_still_belongs_to_it(self) -> None:
        self.assertEqual([cents(20), cents(21)], [95, 110])

    def test_a_parcel_is_no_letter(self) -> None:
        with self.assertRaises(ValueError):
            cents(1001)
