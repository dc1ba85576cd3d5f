"""The shop over HTTP: JSON in, JSON out, one thread a connection, one writer at a time."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import shop
from shop import money, pricing
from shop.store import OutOfStock, Unknown

VOUCHERS = {"WELCOME": pricing.Voucher(cents=500, least=2_000), "TENTH": pricing.Voucher(basis_points=1_000)}


class Shop(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address, store, release):
        super().__init__(address, Handler)
        self.store = store
        self.release = release
        self.one_at_a_time = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        kind, _, rest = self.path.strip("/").partition("/")
        with self.server.one_at_a_time:
            if kind == "health":
                self.answer(200, {"ok": True, "version": shop.__version__, "release": self.server.release})
            elif kind == "products" and not rest:
                self.answer(200, [{**row, "price": money.show(row["price"])} for row in self.server.store.products()])
            elif kind == "turnover" and not rest:
                self.answer(200, self.server.store.turnover())
            elif kind == "orders" and rest.isdigit():
                try:
                    self.answer(200, self.server.store.find(int(rest)))
                except Unknown as problem:
                    self.answer(404, {"error": f"unknown {problem}"})
            else:
                self.answer(404, {"error": f"nothing at {self.path}"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/orders":
            self.answer(404, {"error": f"nothing at {self.path}"})
            return
        try:
            wish = json.loads(body)
            wanted = {int(product): int(quantity) for product, quantity in wish["products"].items()}
            voucher = VOUCHERS[wish["voucher"]] if wish.get("voucher") else None
            if not wanted or min(wanted.values()) < 1:
                raise ValueError("nothing is ordered")
            customer, day = str(wish["customer"]), str(wish["day"])
        except (ValueError, LookupError, AttributeError, TypeError) as problem:
            self.answer(400, {"error": f"not an order: {problem}"})
            return
        with self.server.one_at_a_time:
            try:
                self.answer(201, self.server.store.order(customer, day, wanted, voucher))
            except OutOfStock as problem:
                self.answer(409, {"error": str(problem)})
            except Unknown as problem:
                self.answer(404, {"error": f"unknown {problem}"})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        """Quiet: a line a request would be the loudest thing in the log."""
