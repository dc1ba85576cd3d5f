"""Those whom a run tells: an HTTP server and a mail server that keep what they are sent."""

from __future__ import annotations

import email
import email.policy
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from tests.door import waiting


class Post:
    """`answer` is the status of an answer; 0: none comes until it is closed. `elsewhere`: where it redirects to."""

    def __init__(self, answer: int = 200, elsewhere: str = "") -> None:
        self.answer = answer
        self.elsewhere = elsewhere
        self.answers: dict[str, int] = {}  #: by path, where it is another one
        self.got: list[tuple[str, dict[str, Any]]] = []  #: path and body, of those that were answered well too
        self._is_closed = threading.Event()
        post = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                post.got.append((self.path, json.loads(body)))
                answer = post.answers.get(self.path, post.answer)
                if not answer:
                    post._is_closed.wait(90)
                    return
                self.send_response(answer)
                if post.elsewhere and answer >= 300:
                    self.send_header("Location", post.elsewhere)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                post.got.append((self.path, {}))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        """As apprise has it, with something in it that nobody is to see."""
        return f"json://127.0.0.1:{self.port}/tok-5f2c8e1d"

    def wait(self, count: int = 1) -> list[dict[str, Any]]:
        """The messages, when there are so many."""
        waiting.until(lambda: len(self.got) >= count, f"{count} messages, not {len(self.got)}")
        return [body for _, body in self.got]

    def titles(self) -> list[str]:
        return [body.get("title", "") for _, body in self.got]

    def close(self) -> None:
        if not self._is_closed.is_set():
            self._is_closed.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class Mail:
    """A mail server."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], Any]] = []
        mail = self

        class Handler:
            async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
                parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
                mail.got.append((list(envelope.rcpt_tos), parsed))
                return "250 OK"

        for _ in range(10):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            self._controller = Controller(Handler(), hostname="127.0.0.1", port=self.port)
            try:
                self._controller.start()
                return
            except OSError:  # somebody else took the port meanwhile
                continue
        raise AssertionError("no port for a mail server")

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}?from=stagebook@example.org&to=ops@example.org&mode=insecure"

    def wait(self, count: int = 1) -> list[tuple[list[str], Any]]:
        waiting.until(lambda: len(self.got) >= count, f"{count} mails, not {len(self.got)}")
        return self.got

    def close(self) -> None:
        self._controller.stop()
