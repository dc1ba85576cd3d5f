"""A server on this machine that answers as the APIs of GitHub and GitLab do, page by page, and misbehaves when told."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Iterator, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit


class Answer(NamedTuple):
    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None  #: what is said of it, where that is not so
    chunks_s: float | None = None  #: a byte at a time, so far apart


class Asked(NamedTuple):
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Server:
    """`data` maps paths to lists, or to objects with one list. `faults` are given in place of the next answers."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.faults: list[Answer | None] = []
        self.asked: list[Asked] = []
        self.url = ""
        self.before: Callable[[Asked], None] = lambda asked: None

    def answer(self, asked: Asked) -> Answer:
        self.before(asked)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            return fault
        value = self.data.get(asked.path)
        if value is None:
            return Answer(404, b'{"message": "Not Found"}')
        size, page = int(asked.query.get("per_page", "30")), int(asked.query.get("page", "1"))
        key = next((key for key in value if isinstance(value[key], list)), None) if isinstance(value, dict) else None
        listed = value if key is None else value[key]
        part = listed[(page - 1) * size : page * size]
        shown = part if key is None else {**value, key: part}
        headers = []
        if page * size < len(listed):
            more = "&".join(f"{name}={text}" for name, text in asked.query.items() if name != "page")
            headers.append(("Link", f'<{self.url}{asked.path}?{more}&page={page + 1}>; rel="next", <x>; rel="last"'))
        return Answer(200, json.dumps(shown).encode(), tuple(headers))


@contextmanager
def serving(data: dict[str, Any]) -> Iterator[Server]:
    server = Server(data)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            asked = Asked(unquote(parts.path) if "%2F" not in parts.path else parts.path, query, dict(self.headers))
            server.asked.append(asked)
            made = server.answer(asked)
            try:
                self.send_response(made.status)
                for name, text in made.headers:
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(made.body) if made.length is None else made.length))
                self.send_header("Connection", "close")
                self.end_headers()
                if made.chunks_s is None:
                    self.wfile.write(made.body)
                else:
                    waited = threading.Event()
                    for byte in made.body:
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        waited.wait(made.chunks_s)
            except OSError:
                pass
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def github(listed: dict[str, Any], jobs: list[dict[str, Any]], repo: str = "octo/app") -> dict[str, Any]:
    """What such a server has of runs and their jobs."""
    base = f"/api/v3/repos/{repo}/actions/runs"
    by_run: dict[int, list[Any]] = {}
    for each in jobs:
        for job in each["jobs"]:
            by_run.setdefault(job["run_id"], []).append(job)
    of = {f"{base}/{run}/jobs": {"total_count": len(found), "jobs": found} for run, found in by_run.items()}
    return {base: listed, **of}


def gitlab(listed: list[Any], jobs: list[Any], repo: str = "octo/app") -> dict[str, Any]:
    base = f"/api/v4/projects/{repo.replace('/', '%2F')}/pipelines"
    by_run: dict[int, list[Any]] = {}
    for job in jobs:
        by_run.setdefault(job["pipeline"]["id"], []).append(job)
    return {base: listed, **{f"{base}/{run}/{what}": found if what == "jobs" else []
                             for run, found in by_run.items() for what in ("jobs", "bridges")}}  # fmt: skip


def run_of(path: str) -> str:
    """The id of a run in a path."""
    match = re.search(r"/(?:runs|pipelines)/([0-9]+)/", path)
    return match[1] if match else ""
