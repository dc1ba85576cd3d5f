"""One service of ten and what is tried with it: `service.py prepare|test|contract`."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WORK = Path(__file__).parent / ".work"
REQUESTS = 100


def prepare() -> str:
    WORK.mkdir(exist_ok=True)
    for old in WORK.glob("*.json"):
        old.unlink()
    (WORK / "schema.sql").write_text("CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n")
    return "schema written"


class Service(BaseHTTPRequestHandler):
    """Keeps what it is sent, and gives it back."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536  # an answer in one piece

    def do_POST(self) -> None:
        name = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with sqlite3.connect(self.server.database) as database:  # type: ignore[attr-defined]
            id = database.execute("INSERT INTO thing (name) VALUES (?)", (name,)).lastrowid
        self.answer(str(id))

    def do_GET(self) -> None:
        with sqlite3.connect(self.server.database) as database:  # type: ignore[attr-defined]
            row = database.execute("SELECT name FROM thing WHERE id = ?", (self.path[1:],)).fetchone()
        self.answer(row[0])

    def answer(self, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said: object) -> None:
        """Says nothing: the test does."""


def test(name: str) -> str:
    path = WORK / f"{name}.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as made:
        made.executescript(
            "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;" + (WORK / "schema.sql").read_text()
        )
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.database = path  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    client = HTTPConnection("127.0.0.1", server.server_port)
    for number in range(REQUESTS):
        client.request("POST", "/", f"{name} {number}")
        id = client.getresponse().read().decode()
        client.request("GET", f"/{id}")
        got = client.getresponse().read().decode()
        if got != f"{name} {number}":
            raise SystemExit(f"sent {name} {number}, got {got}")
    server.shutdown()
    (WORK / f"{name}.json").write_text(json.dumps({"service": name, "paths": ["/"]}))
    return f"{name}: {REQUESTS} things kept and given back"


def contract() -> str:
    """Every service says what it offers, and none says what another does."""
    told = [json.loads(path.read_text()) for path in sorted(WORK.glob("*.json"))]
    names = [one["service"] for one in told]
    if len(set(names)) != len(names) or not all(one["paths"] for one in told):
        raise SystemExit(f"the contracts of {names} do not fit")
    return f"{len(names)} contracts fit"


if __name__ == "__main__":
    step = sys.argv[1]
    print(test(os.environ["MATRIX_NAME"]) if step == "test" else {"prepare": prepare, "contract": contract}[step]())
