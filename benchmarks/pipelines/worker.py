"""One stage's work of a chosen kind: `worker.py KIND WORDS…`. Standard library only; run with `python -I -S`.

How much computing a millisecond is comes in $UNIT (`unit` measures it), so that work is a fixed amount and not a time:
it takes longer where cores are shared.
"""

from __future__ import annotations

import os
import sys
import time

BLOCK = 1 << 16


def burn(ms: float) -> None:
    """Arithmetic that stays in a core."""
    left = int(float(os.environ["UNIT"]) * ms)
    total = 0
    for number in range(left):
        total += number & 7


def unit() -> None:
    """Print how often the loop of `burn` goes round in a millisecond of CPU time: the best of several."""
    os.environ["UNIT"] = "1"
    best = 0.0
    for _ in range(15):
        began = time.process_time()
        burn(200_000)
        best = max(best, 200 / (time.process_time() - began))
    print(round(best))


def cpu(ms: str) -> None:
    burn(float(ms))


def forks(count: str, ms: str) -> None:
    pids = []
    for _ in range(int(count)):
        pid = os.fork()
        if not pid:
            burn(float(ms))
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)


def threads(count: str, rounds: str) -> None:
    """Hashing, which Python lets run side by side."""
    import hashlib
    import threading

    def work() -> None:
        hashlib.pbkdf2_hmac("sha256", b"word", b"salt", int(rounds) * 1000)

    begun = [threading.Thread(target=work) for _ in range(int(count))]
    for thread in begun:
        thread.start()
    for thread in begun:
        thread.join()


def memory(mib: str, rounds: str) -> None:
    """Copy what no cache holds, from one place to another."""
    source, target = bytearray(int(mib) << 20), bytearray(int(mib) << 20)
    for _ in range(int(rounds)):
        memoryview(target)[:] = source


def cache(kib: str, rounds: str) -> None:
    """Jump about in what one core's share of the cache just holds."""
    import array

    count = (int(kib) << 10) // 8
    step = 7919  # a prime: each place is come by once a round
    following = array.array("q", [(place + step) % count for place in range(count)])
    place = 0
    for _ in range(int(rounds) * 100_000):
        place = following[place]


def fsync(count: str, ms: str) -> None:
    """Small writes that each have to reach the disk, with some computing between."""
    with open(f"sync-{os.getpid()}", "wb", buffering=0) as file:
        for _ in range(int(count)):
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
            burn(float(ms))


def direct(count: str, kib: str) -> None:
    """Read past the cache of the system, at places spread over the file `big`."""
    import mmap

    size = int(kib) << 10
    buffer = mmap.mmap(-1, size)
    big = os.open("big", os.O_RDONLY | os.O_DIRECT)
    blocks = os.fstat(big).st_size // size
    place = os.getpid()
    for _ in range(int(count)):
        place = (place * 1_103_515_245 + 12_345) % (1 << 31)
        os.preadv(big, [buffer], place % blocks * size)


def bulk(mib: str) -> None:
    """Much at once, which has reached the disk at the end."""
    block = os.urandom(BLOCK) * 16
    with open(f"bulk-{os.getpid()}", "wb", buffering=0) as file:
        for _ in range(int(mib)):
            file.write(block)
        os.fdatasync(file.fileno())
    os.unlink(f"bulk-{os.getpid()}")


def ask(name: str, count: str, ms: str = "0") -> None:
    """So many requests to the service of that name, one after another, with some computing after each."""
    import socket

    for _ in range(int(count)):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(name)
            connection.recv(1)
        burn(float(ms))


def lock(count: str, hold_ms: str, ms: str) -> None:
    """Transactions in one SQLite file that hold its lock while they wait for something, with computing between."""
    import sqlite3

    database = sqlite3.connect("shared.db", timeout=60, isolation_level=None)
    database.execute("CREATE TABLE IF NOT EXISTS note (stage INTEGER, number INTEGER)")
    for number in range(int(count)):
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO note VALUES (?, ?)", (os.getpid(), number))
        time.sleep(float(hold_ms) / 1000)
        database.execute("COMMIT")
        burn(float(ms))


def idle(ms: str) -> None:
    time.sleep(float(ms) / 1000)


def phases(rounds: str, ms: str, idle_ms: str) -> None:
    """Computing and waiting in turn."""
    for _ in range(int(rounds)):
        burn(float(ms))
        time.sleep(float(idle_ms) / 1000)


KINDS = {each.__name__: each for each in (
    unit, cpu, forks, threads, memory, cache, fsync, direct, bulk, ask, lock, idle, phases,
)}  # fmt: skip

if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
