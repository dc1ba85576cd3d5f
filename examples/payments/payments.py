"""The steps of a batch of payments, each a process: `payments.py receive|validate|apply|confirm`."""

from __future__ import annotations

import random
import sqlite3
import sys
from pathlib import Path

WORK = Path(__file__).parent / ".work"
ACCOUNTS, PAYMENTS = 2_000, 20_000


def receive(bank: sqlite3.Connection) -> str:
    """A new batch, and accounts as they stand in the morning."""
    draw = random.Random(7)
    bank.executescript(
        "DROP TABLE IF EXISTS account; DROP TABLE IF EXISTS payment;"
        "CREATE TABLE account (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL);"
        "CREATE TABLE payment (id INTEGER PRIMARY KEY, payer INTEGER, payee INTEGER, cents INTEGER,"
        " state TEXT NOT NULL DEFAULT 'received');"
    )
    bank.executemany(
        "INSERT INTO account VALUES (?, ?)", ((id, draw.randrange(10_000, 90_000)) for id in range(ACCOUNTS))
    )
    bank.executemany(
        "INSERT INTO payment (payer, payee, cents) VALUES (?, ?, ?)",
        ((draw.randrange(ACCOUNTS), draw.randrange(ACCOUNTS), draw.randrange(100, 9_000)) for _ in range(PAYMENTS)),
    )
    return f"{PAYMENTS} payments received"


def validate(bank: sqlite3.Connection) -> str:
    """Only what is covered by what is there in the morning is valid."""
    left = dict(bank.execute("SELECT id, cents FROM account"))
    for id, payer, cents in bank.execute("SELECT id, payer, cents FROM payment WHERE state = 'received'").fetchall():
        is_covered = left[payer] >= cents
        left[payer] -= cents if is_covered else 0
        bank.execute("UPDATE payment SET state = ? WHERE id = ?", ("valid" if is_covered else "refused", id))
    valid, refused = (count(bank, state) for state in ("valid", "refused"))
    return f"{valid} valid, {refused} refused"


def apply(bank: sqlite3.Connection) -> str:
    before = total(bank)
    for id, payer, payee, cents in bank.execute(
        "SELECT id, payer, payee, cents FROM payment WHERE state = 'valid' ORDER BY id"
    ).fetchall():
        bank.execute("UPDATE account SET cents = cents - ? WHERE id = ?", (cents, payer))
        bank.execute("UPDATE account SET cents = cents + ? WHERE id = ?", (cents, payee))
        bank.execute("UPDATE payment SET state = 'applied' WHERE id = ?", (id,))
    if total(bank) != before:
        raise SystemExit("money appeared or vanished")
    if bank.execute("SELECT count(*) FROM account WHERE cents < 0").fetchone()[0]:
        raise SystemExit("an account is overdrawn")
    return f"{count(bank, 'applied')} applied, {before / 100:.2f} in all accounts as before"


def confirm(bank: sqlite3.Connection) -> str:
    for state in ("received", "valid"):
        if count(bank, state):
            raise SystemExit(f"{count(bank, state)} payments are only {state}")
    rows = bank.execute("SELECT id, payer, cents FROM payment WHERE state = 'applied' ORDER BY id").fetchall()
    (WORK / "confirmations.txt").write_text(
        "".join(f"{id}: {cents / 100:.2f} from {payer}\n" for id, payer, cents in rows)
    )
    return f"{len(rows)} confirmed"


def count(bank: sqlite3.Connection, state: str) -> int:
    return int(bank.execute("SELECT count(*) FROM payment WHERE state = ?", (state,)).fetchone()[0])


def total(bank: sqlite3.Connection) -> int:
    return int(bank.execute("SELECT sum(cents) FROM account").fetchone()[0])


if __name__ == "__main__":
    WORK.mkdir(exist_ok=True)
    steps = {"receive": receive, "validate": validate, "apply": apply, "confirm": confirm}
    with sqlite3.connect(WORK / "payments.db") as bank:
        print(steps[sys.argv[1]](bank))
