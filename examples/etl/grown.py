"""The steps of a nightly load, each a process: `grown.py extract|clean NAME`, `grown.py load`, `grown.py report`."""

from __future__ import annotations

import csv
import hashlib
import random
import sqlite3
import sys
from pathlib import Path

WORK = Path(__file__).parent / ".work" / "nightly"
ROWS = {"customers": 30_000, "orders": 60_000, "products": 30_000}
COLUMNS = {
    "customers": ("id", "name", "city"),
    "orders": ("id", "customer", "product", "cents"),
    "products": ("id", "title", "code"),
}


def extract(name: str) -> str:
    """What the source system would answer; some of it is wrong, as it always is."""
    draw = random.Random(name)
    with open(WORK / f"{name}.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS[name])
        for id in range(ROWS[name]):
            seal = hashlib.sha256(f"{name} {id}".encode()).hexdigest()
            if name == "orders":
                row = (
                    id,
                    draw.randrange(ROWS["customers"]),
                    draw.randrange(ROWS["products"]),
                    draw.randrange(-50, 9_000),
                )
            else:
                row = (id, f" {name[:-1]} {id} ", seal[:8] if draw.random() > 0.01 else "")
            out.writerow(row)
    return f"{ROWS[name]} {name}"


def clean(name: str) -> str:
    with open(WORK / f"{name}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    good = [
        {key: value.strip() for key, value in row.items()}
        for row in rows
        if (int(row["cents"]) > 0 if name == "orders" else row["city"])
    ]
    good.sort(key=lambda row: hashlib.sha256(row["id"].encode()).digest())  # as the next system wants it
    with open(WORK / f"{name}.clean.csv", "w", newline="") as file:
        out = csv.DictWriter(file, COLUMNS[name])
        out.writeheader()
        out.writerows(good)
    return f"{len(good)} of {len(rows)} {name} are good"


def load() -> str:
    path = WORK / "warehouse.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as warehouse:
        for name, file in (("customers", "customers.clean"), ("orders", "orders.clean"), ("products", "products")):
            warehouse.execute(f"CREATE TABLE {name} ({', '.join(COLUMNS[name])})")
            with open(WORK / f"{file}.csv", newline="") as rows:
                marks = ", ".join("?" * len(COLUMNS[name]))
                warehouse.executemany(f"INSERT INTO {name} VALUES ({marks})", list(csv.reader(rows))[1:])
        warehouse.execute("CREATE INDEX by_customer ON orders (customer)")
    return "loaded"


def report() -> str:
    with sqlite3.connect(WORK / "warehouse.db") as warehouse:
        best = warehouse.execute(
            "SELECT city, sum(cents) FROM orders JOIN customers ON customers.id = orders.customer"
            " GROUP BY city ORDER BY 2 DESC LIMIT 10"
        ).fetchall()
    (WORK / "report.txt").write_text("".join(f"{city} {cents / 100:.2f}\n" for city, cents in best))
    return f"the best of {len(best)} is {best[0][0]}"


if __name__ == "__main__":
    WORK.mkdir(parents=True, exist_ok=True)
    steps = {"extract": extract, "clean": clean, "load": load, "report": report}
    print(steps[sys.argv[1]](*sys.argv[2:]))
