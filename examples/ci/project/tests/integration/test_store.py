"""The store against a real SQLite file: many orders, and the same sums by SQL and by hand."""

import os
import random
import sqlite3
import tempfile
import threading
import unittest
from collections import Counter

from shop.store import OutOfStock, Store, Unknown

PRODUCTS = [(f"product {i:04}", 50 + i * 7 % 4_000, 10**6) for i in range(2_000)]
ORDERS = 24_000


class OnDisk(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "shop.db")
        self.store = self.open()
        self.store.create()

    def open(self):
        store = Store(self.path)
        self.addCleanup(store.close)
        return store


class ManyOrders(OnDisk):
    def test_sums_by_sql_are_the_sums_by_hand(self):
        self.store.add_products(PRODUCTS)
        chance = random.Random(20_26)
        pieces, cents, taken = Counter(), Counter(), 0
        for n in range(ORDERS):
            wanted = {chance.randint(1, len(PRODUCTS)): chance.randint(1, 12) for _ in range(chance.randint(1, 6))}
            order = self.store.order(f"customer {n % 500}", f"2026-{n % 12 + 1:02}-01", wanted)
            taken += order["total"]
            self.assertEqual(sum(line["comes_to"] for line in order["lines"]), order["total"])
            for line in order["lines"]:
                name = PRODUCTS[line["product"] - 1][0]
                pieces[name] += line["quantity"]
                cents[name] += line["comes_to"]
        again = self.open()
        turnover = again.turnover()
        self.assertEqual({row["name"]: row["pieces"] for row in turnover}, dict(pieces))
        self.assertEqual({row["name"]: row["cents"] for row in turnover}, dict(cents))
        self.assertEqual(sum(row["cents"] for row in turnover), taken)
        left = {row["name"]: row["stock"] for row in again.products()}
        self.assertEqual(left, {name: stock - pieces[name] for name, _, stock in PRODUCTS})
        self.assertEqual(again.db.execute("pragma integrity_check").fetchone()[0], "ok")


class Refusals(OnDisk):
    def setUp(self):
        super().setUp()
        self.store.add_products([("pencil", 120, 10), ("desk", 24_900, 1)])

    def test_an_order_that_cannot_be_filled_leaves_no_trace(self):
        for n in range(500):
            with self.subTest(n=n), self.assertRaises(OutOfStock):
                self.store.order("anna", "2026-01-01", {1: 1, 2: 2})
        self.assertEqual([row["stock"] for row in self.store.products()], [10, 1])
        self.assertEqual(self.store.db.execute("select count(*) from customer_order").fetchone()[0], 0)

    def test_an_unknown_product_leaves_no_trace(self):
        with self.assertRaises(Unknown):
            self.store.order("anna", "2026-01-01", {1: 1, 99: 1})
        self.assertEqual(self.store.products()[0]["stock"], 10)

    def test_the_database_itself_refuses_a_negative_stock(self):
        with self.assertRaises(sqlite3.IntegrityError):
            self.store.db.execute("update product set stock = -1")


class AtOnce(OnDisk):
    def test_buyers_at_once_never_buy_more_than_there_is(self):
        self.store.add_products([("ticket", 4_500, 300)])
        sold, refused = [], []

        def buy(name):
            store = Store(self.path)
            try:
                for _ in range(150):
                    try:
                        sold.append(store.order(name, "2026-01-01", {1: 1})["id"])
                    except OutOfStock:
                        refused.append(name)
            finally:
                store.close()

        buyers = [threading.Thread(target=buy, args=(f"buyer {n}",)) for n in range(4)]
        for buyer in buyers:
            buyer.start()
        for buyer in buyers:
            buyer.join()
        self.assertEqual(len(sold), 300)
        self.assertEqual(len(set(sold)), 300)
        self.assertEqual(len(refused), 300)
        self.assertEqual(self.store.products()[0]["stock"], 0)
