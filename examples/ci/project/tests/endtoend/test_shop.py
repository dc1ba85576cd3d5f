"""The shop as its customers meet it: a real server process on a free port, and thousands of requests."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest

PYTHON = sys.executable or "python3"  # with no PATH at all Python cannot tell where it is
REQUESTS = 3_200


class Customer:
    """One kept-alive connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, method, path, value=None):
        body = None if value is None else json.dumps(value)
        self.connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self):
        self.connection.close()


class OverHttp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.server = subprocess.Popen(
            [PYTHON, "-m", "shop", "--database", os.path.join(folder.name, "shop.db"), "--release", "test"],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.stop)
        self.port = int(self.server.stdout.readline().split()[-1])

    def stop(self):
        self.server.terminate()
        self.server.wait(10)
        self.server.stdout.close()

    def customer(self):
        customer = Customer(self.port)
        self.addCleanup(customer.close)
        return customer

    def test_orders_are_kept_as_they_were_placed(self):
        customer = self.customer()
        placed = {}
        for n in range(REQUESTS):
            wish = {"customer": f"anna {n}", "day": "2026-05-01", "products": {"1": n % 11 + 1, "2": n % 3 + 1}}
            if n % 4 == 0:
                wish["voucher"] = "TENTH"
            status, order = customer.ask("POST", "/orders", wish)
            self.assertEqual(status, 201)
            placed[order["id"]] = order
        for number in sorted(placed)[:: max(1, len(placed) // 1_500)]:
            self.assertEqual(customer.ask("GET", f"/orders/{number}"), (200, placed[number]))
        turnover = customer.ask("GET", "/turnover")[1]
        self.assertEqual(sum(row["cents"] for row in turnover), sum(order["total"] for order in placed.values()))

    def test_four_customers_at_once_get_four_answers(self):
        ids, lock = [], threading.Lock()

        def shop(name):
            with contextlib.closing(Customer(self.port)) as customer:
                for _ in range(250):
                    status, order = customer.ask(
                        "POST", "/orders", {"customer": name, "day": "2026-05-02", "products": {"1": 1}}
                    )
                    with lock:
                        ids.append((status, order["id"]))

        customers = [threading.Thread(target=shop, args=(f"customer {n}",)) for n in range(4)]
        for customer in customers:
            customer.start()
        for customer in customers:
            customer.join()
        self.assertEqual(sorted(ids), [(201, n + 1) for n in range(1_000)])
        self.assertEqual(self.customer().ask("GET", "/products")[1][0]["stock"], 99_000)

    def test_bad_wishes_are_told_what_is_wrong(self):
        customer = self.customer()
        good = {"customer": "a", "day": "d", "products": {"4": 1}}
        for value, status in (
            ({}, 400),
            ([], 400),
            ({**good, "products": {}}, 400),
            ({**good, "products": {"4": 0}}, 400),
            ({**good, "products": {"x": 1}}, 400),
            ({**good, "voucher": "FREE"}, 400),
            ({**good, "products": {"77": 1}}, 404),
            ({**good, "products": {"4": 301}}, 409),
        ):
            with self.subTest(value=value):
                answer = customer.ask("POST", "/orders", value)
                self.assertEqual(answer[0], status)
                self.assertIn("error", answer[1])
        self.assertEqual(customer.ask("GET", "/orders/1")[0], 404)
        self.assertEqual(customer.ask("GET", "/nowhere")[0], 404)
        self.assertEqual(customer.ask("POST", "/products", {})[0], 404)
