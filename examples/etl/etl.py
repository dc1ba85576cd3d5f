"""The steps of a nightly load, each a process: `etl.py sources`, `etl.py extract ITEM DIR`, …

An item is a shop's file, named by the run that loads it: `.work/RUN/shop-07`. DIR is where it is worked on.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import random
import shutil
import sys
from pathlib import Path

import warehouse
from warehouse import SCHEMA, WRONG, Warehouse, warehouses

WORK = Path(".work")
IN = WORK / "in"
VALID, CONFIRMED = WORK / "valid.json", WORK / "confirmed"
FILES, ROWS = int(os.environ.get("PARAM_FILES", "24")), int(os.environ.get("PARAM_ROWS", "8000"))
RUN = os.environ.get("STAGEBOOK_RUN", "")
COLUMNS = ["id", "customer", "cents", "city"]


def send(number: int, whole: bool) -> None:
    draw = random.Random(number)
    rows = [f"{id},{draw.randrange(5_000)},{draw.randrange(-50, 9_000)}, Town {id % 97} " for id in range(ROWS)]
    packed = gzip.compress("\n".join([",".join(COLUMNS), *rows]).encode(), 1)
    (IN / f"shop-{number:02}.csv.gz").write_bytes(packed if whole else packed[: len(packed) // 2])


def sources() -> None:
    """What shops have sent, on first use; the last file was cut off on its way.

    Prints a line for each file. It bears the run, whose warehouse is new and has none of them.
    """
    made = IN / f"{FILES} of {ROWS} rows"
    if not made.exists():
        shutil.rmtree(IN, ignore_errors=True)
        IN.mkdir(parents=True)
        for number in range(1, FILES + 1):
            send(number, number < FILES)
        made.touch()
    for path in sorted(IN.glob("*.csv.gz")):
        print(WORK / RUN / path.name.removesuffix(".csv.gz"))


def resend() -> None:
    """By hand, once somebody has told the shop: the last file, whole."""
    send(FILES, True)


def database() -> None:
    """New warehouses in place of those of the last run, as far as they were asked for and are there."""
    wanted = os.environ["PARAM_DATABASE"]
    WORK.mkdir(exist_ok=True)
    warehouse.remove()
    warehouse.FILE.unlink(missing_ok=True)
    if wanted != "postgres":
        warehouse.FILE.touch()
    if wanted != "sqlite" and warehouse.programs():
        warehouse.create()
    elif wanted != "sqlite":
        print("no Postgres on this machine (apt-get install postgresql)" + "; SQLite only" * (wanted == "both"))
        if wanted == "postgres":
            sys.exit(1)
    with warehouses() as opened:
        for each in opened:
            each.do(*SCHEMA.strip().removesuffix(";").split(";"))
        print("into", " and ".join(each.name for each in opened))


def extract(item: str, into: str) -> None:
    """Out of its packing, each line with a digest by which it is known again."""
    Path(into).mkdir(parents=True, exist_ok=True)
    with gzip.open(IN / f"{Path(item).name}.csv.gz", "rt") as packed, open(f"{into}/raw.part", "w") as raw:
        try:
            for line in packed:
                raw.write(f"{hashlib.blake2b(line.encode(), digest_size=8).hexdigest()},{line.rstrip()}\n")
        except EOFError:
            sys.exit(f"{Path(item).name} was cut off on its way")
    os.rename(f"{into}/raw.part", f"{into}/raw.csv")


def transform(item: str, into: str) -> None:
    """What the warehouse takes: no order of nothing, no order twice. Says how many rows it has left."""
    file, kept = Path(item).name, 0
    if not Path(into, "raw.csv").exists():
        sys.exit(f"{file} was not extracted")
    seen: set[str] = set()
    with open(f"{into}/raw.csv", newline="") as raw, open(f"{into}/clean.csv", "w", newline="") as clean:
        out = csv.writer(clean, lineterminator="\n")
        next(raw)
        for digest, *cells in csv.reader(raw):
            if digest not in seen and int(cells[2]) > 0:
                seen.add(digest)
                kept += 1
                out.writerow([file, *(int(cell) for cell in cells[:3])])
    Path(into, "rows").write_text(str(kept))


def load_one(opened: list[Warehouse], item: str, into: str) -> None:
    """One transaction in each warehouse. A file that a killed run has loaded already is replaced."""
    file, rows = Path(item).name, Path(into, "rows").read_text()
    for each in opened:
        each.do(
            f"DELETE FROM staging WHERE file = '{file}'", f"DELETE FROM batch WHERE file = '{file}'",
            f"INSERT INTO batch VALUES ('{file}', {rows})", copy=Path(into, "clean.csv"),
        )  # fmt: skip


def load() -> None:
    """A worker: reads items as lines and answers each. Postgres runs as long as it does."""
    with warehouses() as opened:
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                load_one(opened, asked["item"], asked["dir"])
                print('{"ok": true}', flush=True)
            except Exception as error:
                print(json.dumps({"ok": False, "error": str(error)}), flush=True)


def load_all() -> None:
    """The same for stages: one file after another, as there is one writer. What was not transformed is left."""
    with warehouses() as opened:
        for path in sorted((WORK / RUN).glob("*/rows")):
            load_one(opened, str(path.parent), str(path.parent))


def validate() -> None:
    """All that was announced has come, it may be applied, and both warehouses have the same."""
    with warehouses() as opened:
        for each in opened:
            assert each.ask(WRONG) == [], f"{each.name}: {each.ask(WRONG)} are not as announced"
        found = {each.name: each.totals("orders", "staging") for each in opened}
    assert len(set(found.values())) == 1, f"they differ: {found}"
    print("valid:", found)
    VALID.write_text(json.dumps(found))


def apply() -> None:
    """In one transaction each: all orders or none."""
    with warehouses() as opened:
        for each in opened:
            each.do("INSERT INTO orders SELECT * FROM staging", "DELETE FROM staging", "DELETE FROM batch")


def confirm() -> None:
    """What there is now is what was valid, to the cent."""
    with warehouses() as opened:
        found = {each.name: each.totals("orders") for each in opened}
    valid = json.loads(VALID.read_text())
    assert found == valid, f"there is {found}, valid was {valid}"
    print("confirmed:", found)
    CONFIRMED.write_text(RUN)


def tidy() -> None:
    """Postgres goes, and SQLite's file stays, to be looked at, unless the run has not come to its end: then
    they go together."""
    warehouse.remove()
    if not CONFIRMED.exists() or CONFIRMED.read_text() != RUN:
        warehouse.FILE.unlink(missing_ok=True)
    shutil.rmtree(WORK / RUN, ignore_errors=True)


if __name__ == "__main__":
    steps = (sources, resend, database, extract, transform, load, load_all, validate, apply, confirm, tidy)
    {step.__name__: step for step in steps}[sys.argv[1]](*sys.argv[2:])
