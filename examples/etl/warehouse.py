"""The two warehouses that orders go into: a SQLite file, and a Postgres that nobody else sees.

Postgres comes from Debian. It runs as a child of whichever step needs it, listens on nothing but a socket in its own
folder, and ends with that step, however it ends. What the step before has written is there again for the next.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

FILE, FOLDER = Path(".work", "warehouse.db"), Path(".work", "postgres")
ROW = "file TEXT, id INTEGER, customer INTEGER, cents INTEGER"
SCHEMA = f"""
    CREATE TABLE batch (file TEXT PRIMARY KEY, rows INTEGER);
    CREATE TABLE staging ({ROW});
    CREATE TABLE orders ({ROW}, PRIMARY KEY (file, id));
"""
#: Files of which the staging area holds more or less than was announced, or what cannot be an order.
WRONG = """
    SELECT file FROM batch
    LEFT JOIN (SELECT file, count(*) AS came FROM staging WHERE cents > 0 GROUP BY file) AS good USING (file)
    WHERE coalesce(came, 0) <> rows ORDER BY file
"""


class Warehouse:
    """What both can do. Rows are lists of texts."""

    name = ""

    def ask(self, question: str) -> list[list[str]]:
        """Rows of the answer."""
        raise NotImplementedError

    def do(self, *steps: str, copy: Path | None = None) -> None:
        """All of it in one transaction, or nothing; `copy` is a CSV file that goes into the staging area last."""
        raise NotImplementedError

    def totals(self, *tables: str) -> str:
        """How many rows these tables have together, and of how much."""
        rows = cents = 0
        for table in tables:
            ((more, worth),) = self.ask(f"SELECT count(*), coalesce(sum(cents), 0) FROM {table}")
            rows, cents = rows + int(more), cents + int(worth)
        return f"{rows} orders, {cents / 100:.2f}"


class Sqlite(Warehouse):
    name = "SQLite"

    def __init__(self) -> None:
        self._file = sqlite3.connect(FILE, isolation_level=None)

    def ask(self, question: str) -> list[list[str]]:
        return [[str(cell) for cell in row] for row in self._file.execute(question)]

    def do(self, *steps: str, copy: Path | None = None) -> None:
        self._file.execute("BEGIN IMMEDIATE")
        with self._file:
            for step in steps:
                self._file.execute(step)
            if copy is not None:
                with open(copy) as rows:
                    lines = (line.rstrip("\n").split(",") for line in rows)
                    self._file.executemany("INSERT INTO staging VALUES (?, ?, ?, ?)", lines)


class Postgres(Warehouse):
    name = "Postgres"

    def _psql(self, *words: str, text: str = "") -> str:
        words = (f"{programs()}/psql", "-qAtX", "-F,", "-v", "ON_ERROR_STOP=1", *AT, *words)
        done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return done.stdout

    def ask(self, question: str) -> list[list[str]]:
        return [line.split(",") for line in self._psql("-c", question).splitlines()]

    def do(self, *steps: str, copy: Path | None = None) -> None:
        last = f"\\copy staging FROM '{copy}' csv\n" if copy is not None else ""
        self._psql("-1", "-f", "-", text="".join(f"{step};\n" for step in steps) + last)


# psql finds the socket by a path that stays short however deep the checkout lies: longer than 107 bytes is refused.
AT = ("-h", f"/proc/self/cwd/{FOLDER}", "-U", "etl", "-d", "postgres")


def programs() -> str | None:
    """The folder with the newest Postgres of this machine."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return str(max(found, key=lambda path: float(path.parent.name))) if found else None


def _words(program: str, fd: int, *words: str) -> list[str]:
    """The program on the folder that is open as `fd`, ended when this process ends. Postgres refuses to run as root:
    it is user postgres then, who may not reach the folder by its path."""
    user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    return ["setpriv", "--pdeathsig=INT", *user, f"{programs()}/{program}", "-D", f"/proc/self/fd/{fd}", *words]


def create() -> None:
    """A new and empty Postgres."""
    FOLDER.mkdir(mode=0o700)
    if os.getuid() == 0:
        shutil.chown(FOLDER, "postgres", "postgres")
    fd = os.open(FOLDER, os.O_RDONLY)
    words = _words("initdb", fd, "--auth=trust", "--username=etl", "--no-sync", "--encoding=UTF8", "--locale=C")
    subprocess.run(words, cwd="/", pass_fds=[fd], stdout=subprocess.DEVNULL, check=True)
    os.close(fd)
    with open(FOLDER / "postgresql.conf", "a") as file:
        file.write(
            "listen_addresses = ''\nunix_socket_directories = '.'\nfsync = off\nlog_min_messages = panic\n"
            "shared_buffers = 16MB\ndynamic_shared_memory_type = mmap\nmax_connections = 10\n"
        )


def remove() -> None:
    """Take Postgres away, also what one that was killed has left in the kernel: the number of that is in its file."""
    try:
        words = (FOLDER / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        words = []
    if words and Path("/proc", words[0], "cwd").resolve() == FOLDER.resolve():
        sys.exit(f"{FOLDER} is in use by process {words[0]}: another run of this example?")
    if len(words) > 6:
        subprocess.run(["ipcrm", "-m", words[6].split()[1]], stderr=subprocess.DEVNULL, check=False)
    shutil.rmtree(FOLDER, ignore_errors=True)


@contextmanager
def running() -> Iterator[None]:
    """Postgres, from here to the end of the block."""
    fd = os.open(FOLDER, os.O_RDONLY)
    server = subprocess.Popen(_words("postgres", fd), cwd="/", pass_fds=[fd], stdout=sys.stderr)
    os.close(fd)
    try:
        while subprocess.run([f"{programs()}/pg_isready", "-q", *AT], check=False).returncode:
            if server.poll() is not None:
                sys.exit("Postgres did not start")
            time.sleep(0.02)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # it ends what is connected, and itself
        server.wait()


@contextmanager
def warehouses() -> Iterator[list[Warehouse]]:
    """Those that have been made."""
    found: list[Warehouse] = [Sqlite()] if FILE.exists() else []
    if FOLDER.exists():
        with running():
            yield [*found, Postgres()]
    elif found:
        yield found
    else:
        sys.exit("there is no warehouse: that of a run that was stopped has been taken away, and a new run makes one")
