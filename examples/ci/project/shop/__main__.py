"""`python3 -m shop`: opens the shop. Prints one line `listening on PORT` and serves until it is told to stop."""

import argparse
import os
import signal
import sys

from shop.store import Store
from shop.web import Shop

FIRST_GOODS = [("pencil", 120, 100_000), ("notebook", 450, 40_000), ("lamp", 3_990, 2_000), ("desk", 24_900, 300)]


def main():
    words = argparse.ArgumentParser(prog="shop", description=__doc__)
    words.add_argument("--database", required=True)
    words.add_argument("--port", type=int, default=0, help="0: any that is free")
    words.add_argument("--release", default="unreleased", help="what /health says")
    chosen = words.parse_args()
    fresh = not os.path.exists(chosen.database)
    store = Store(chosen.database)
    if fresh:
        store.create()
        store.add_products(FIRST_GOODS)
    server = Shop(("127.0.0.1", chosen.port), store, chosen.release)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("listening on", server.server_address[1], flush=True)
    try:
        server.serve_forever()
    finally:
        server.server_close()
        store.close()


if __name__ == "__main__":
    main()
