"""A small warehouse: shelves in SQLite, and a carrier who takes the time that he takes."""

import sqlite3
import time

#: Seconds for the first zone; each zone further out adds a tenth.
CARRIES_S = {"letter": 0.015, "parcel": 0.06, "pallet": 0.16, "container": 0.45}


class Warehouse:
    def __init__(self) -> None:
        self.shelves = sqlite3.connect(":memory:")
        self.shelves.execute("create table stock (item text primary key, count integer not null check (count >= 0))")

    def put(self, item: str, count: int) -> None:
        self.shelves.execute(
            "insert into stock values (?, ?) on conflict (item) do update set count = count + excluded.count",
            (item, count),
        )

    def take(self, item: str, count: int) -> bool:
        """Whether so many were there; if not, nothing is taken."""
        taken = self.shelves.execute(
            "update stock set count = count - ? where item = ? and count >= ?", (count, item, count)
        )
        return taken.rowcount == 1

    def count(self, item: str) -> int:
        row = self.shelves.execute("select count from stock where item = ?", (item,)).fetchone()
        return row[0] if row else 0


def deliver(kind: str, zone: int) -> float:
    """Bring it there; how long it took."""
    seconds = CARRIES_S[kind] * (1 + zone / 10)
    time.sleep(seconds)
    return seconds
