"""`smoke.py SITE/candidate`: serves the candidate for real and buys something in it."""

import os
import sys

import site_layout

BUYS = 300


def main():
    link = sys.argv[1]
    with site_layout.served(link) as ask:
        status, health = ask("GET", "/health")
        expected = os.path.basename(os.path.realpath(link))
        assert status == 200 and health["release"] == expected, f"{expected} was deployed, {health} answers"
        status, products = ask("GET", "/products")
        assert status == 200 and products, f"no products: {status} {products}"
        for n in range(BUYS):
            wish = {"customer": f"smoke {n}", "day": "2026-01-01", "products": {"2": 5}}
            status, order = ask("POST", "/orders", wish)
            assert status == 201 and order["total"] == 2182, f"five notebooks: {status} {order}"
        status, turnover = ask("GET", "/turnover")
        assert turnover == [{"name": "notebook", "pieces": 5 * BUYS, "cents": 2182 * BUYS}], f"turnover: {turnover}"
    print(f"{expected}: {BUYS} orders over HTTP, all well")


if __name__ == "__main__":
    main()
