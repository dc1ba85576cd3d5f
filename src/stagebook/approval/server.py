"""Where a link to a gate leads: one page on loopback, served by HTTP until it is over. Knows nothing of runs or pages.

A GET changes nothing. A POST decides if it comes from the page that was served: token, a field that only that page
holds, and an `Origin` of our own. Whoever asks by another name than ours (DNS rebinding) is refused. A client that is
slow is cut off, the oldest first, so that it keeps nobody waiting. What is refused is told to `Desk.refused`.

Threads are in use here, one a connection; this is no part of a run.
"""

from __future__ import annotations

import hmac
import os
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

from stagebook.approval.judge import Refusal
from stagebook.model.problem import InputError, StagebookError, SurroundingsError
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Callable, Mapping

ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost", "[::1]")
HEAD_MAX = 32 << 10
BODY_MAX = 16 << 10
COMMENT_MAX = 1000  #: characters
REQUEST_S = 10.0  #: from the first byte of a request to the last of the answer
CONNECTIONS_MAX = 64
LOOK_S = 0.1
FORM = "application/x-www-form-urlencoded"
PREFIX = "/gate/"
_STATUS = {
    "forged": 403, "other-run": 403, "other-person": 403, "other-link": 403, "host": 403, "origin": 403, "csrf": 403,
    "link-expired": 410, "used": 410, "over": 410, "decided": 410, "expired": 410,
}  # fmt: skip


class Answer(NamedTuple):
    """What came of a decision: why it was refused, or `decision`: True approved, False rejected, None still open."""

    refusal: Refusal | None = None
    decision: bool | None = None


class Desk:
    """What a server asks and tells; all of it may be called by several threads at once, `decide` by one at a time.

    `check(token)` is a refusal or None; `page(csrf, said)` the HTML of the question, with a form where `csrf` is given,
    `said` being what the link was used for; `plain(title, text)` that of anything else; `decide(approved, comment)` a
    vote, `refused` the record, and `policy` the Content-Security-Policy of all pages.
    """

    __slots__ = ("check", "decide", "page", "plain", "policy", "refused")

    def __init__(
        self,
        check: Callable[[str], Refusal | None],
        page: Callable[[str, str | None], str],
        plain: Callable[[str, str], str],
        decide: Callable[[bool, str | None], Answer],
        refused: Callable[[Refusal, Mapping[str, Any]], None],
        policy: str,
    ) -> None:
        self.check = check
        self.page = page
        self.plain = plain
        self.decide = decide
        self.refused = refused
        self.policy = policy


class Server(socketserver.ThreadingTCPServer):
    """`used` is what came of the link, once it was used. Raises OSError for a port that cannot be had."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, desk: Desk, port: int = 0) -> None:
        self.desk = desk
        self.used: Answer | None = None
        self.defect: Exception | None = None  #: what no thread can go on with, for who serves
        self.is_over = False
        self.deciding = threading.Lock()
        self.csrf = os.urandom(24).hex()
        self._open: dict[socket.socket, float] = {}
        self._guard = threading.Lock()
        super().__init__((ADDRESS, port), _Handler)
        self.port: int = self.server_address[1]
        self.hosts = frozenset(f"{name}:{self.port}" for name in NAMES)

    def serve_until(self, over: Callable[[], bool]) -> None:
        """Serve until `over` says so, asked about ten times a second, then let open answers go out."""
        self.timeout = LOOK_S
        look_at = 0.0
        while self.defect is None:
            now = time.monotonic()
            if now >= look_at:
                if over():
                    break
                look_at = now + LOOK_S
                self._cut_off(REQUEST_S)
            self.handle_request()
        with self.deciding:  # whoever decides just now does so to the end
            self.is_over = True
        deadline = time.monotonic() + 1.0
        while True:  # also of those who have come, and were not let in yet
            self.handle_request()  # who comes now is told that it is over
            self._cut_off(0.5)
            if not self._open or time.monotonic() >= deadline:
                break
        self.server_close()
        if self.defect is not None:
            raise self.defect

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open[request] = time.monotonic()
            oldest = next(iter(self._open)) if len(self._open) > CONNECTIONS_MAX else None
            if oldest is not None:
                del self._open[oldest]
        if oldest is not None:
            _end(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away is nobody's trouble; ours are answered with 500

    def _cut_off(self, after_s: float) -> None:
        before = time.monotonic() - after_s
        with self._guard:
            late = [request for request, since in self._open.items() if since < before]
        for request in late:
            _end(request)


def _end(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it, which closes it
    except OSError:
        pass


class _Refused(Exception):
    def __init__(self, code: str, text: str, status: int | None = None) -> None:
        self.refusal = Refusal(code, text)
        self.status = status if status is not None else _STATUS.get(code, 409)


class _Limited:
    """A file that ends after so many bytes: what a request says of its own length comes too late to be believed."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file = file
        self._left = left

    def read(self, size: int = -1) -> bytes:
        return self._taken(self._file.read(self._left if size < 0 else min(size, self._left)))

    def readline(self, size: int = -1) -> bytes:
        return self._taken(self._file.readline(self._left if size < 0 else min(size, self._left)))

    def _taken(self, data: bytes) -> bytes:
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = REQUEST_S
    server_version = "stagebook"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.rfile = _Limited(self.rfile, HEAD_MAX + BODY_MAX)  # type: ignore[assignment, arg-type]

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _get(self) -> None:
        self._check_token()
        self._send(200, self.server.desk.page(self.server.csrf if self.server.used is None else "", None))

    def _post(self) -> None:
        self._check_origin()
        fields = self._fields()
        self._check_token()
        if not hmac.compare_digest(fields.get("csrf", "").encode(), self.server.csrf.encode()):
            raise _Refused("csrf", "the form is not of the page that was served; load the page again")
        decision, comment = fields.get("decision"), fields.get("comment", "").strip()
        if decision not in ("approve", "reject") or len(comment) > COMMENT_MAX:
            raise _Refused("form", "a decision is approve or reject, and a comment has at most 1 000 characters", 400)
        with self.server.deciding:
            if self.server.used is not None:
                raise _Refused("used", "the link was used before")
            if self.server.is_over:
                raise _Refused("over", "the link is over")
            try:
                answer = self.server.desk.decide(decision == "approve", comment or None)
            except OSError as error:
                raise SurroundingsError(str(error)) from error
            if answer.refusal is None:
                self.server.used = answer
        if answer.refusal is None:
            self._send(200, self.server.desk.page("", "approved" if decision == "approve" else "rejected"))
        else:  # which is on record
            status = _STATUS.get(answer.refusal.code, 409)
            self._send(status, self.server.desk.plain("Refused", answer.refusal.text))

    def _answer(self, act: Callable[[], None]) -> None:
        desk = self.server.desk
        try:
            self._check_host()
            act()
        except _Refused as refused:
            self._refuse(refused)
        except OSError:
            raise  # the client is gone
        except StagebookError as error:
            self._send(400 if isinstance(error, InputError) else 503, desk.plain("Not done", str(error)))
        except Exception as error:
            self.server.defect = error
            self._send(500, desk.plain("Not done", "this is a defect of Stagebook; the terminal says more"))

    def _refuse(self, refused: _Refused) -> None:
        """What cannot be recorded ends it: nobody tries links unseen."""
        desk = self.server.desk
        if refused.refusal.code not in ("path", "form"):
            try:
                desk.refused(refused.refusal, {"address": self.client_address[0], "method": self.command})
            except StagebookError as error:
                self.server.defect = error
        self._send(refused.status, desk.plain("Refused", refused.refusal.text))

    def _check_host(self) -> None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            raise _Refused("host", "this page is served on loopback only, and was asked for by another name")

    def _check_origin(self) -> None:
        origins = self.headers.get_all("Origin") or []
        if len(origins) != 1 or origins[0].lower() not in {f"http://{host}" for host in self.server.hosts}:
            raise _Refused("origin", "a decision is taken from the page of the link only")
        if self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise _Refused("origin", "a decision is taken from the page of the link only")

    def _check_token(self) -> None:
        path = self.path.partition("?")[0]
        if not path.startswith(PREFIX):
            raise _Refused("path", "there is nothing here", 404)
        refusal = self.server.desk.check(path[len(PREFIX) :])
        if refusal is not None:
            raise _Refused(refusal.code, refusal.text)

    def _fields(self) -> dict[str, str]:
        """The fields of a form, each given once."""
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            raise _Refused("form", "the length of a form has to be said", 411)
        if len(length) > 12 or int(length) > BODY_MAX:
            raise _Refused("form", f"a form has at most {BODY_MAX} bytes", 413)
        if self.headers.get_content_type() != FORM:
            raise _Refused("form", f"a form is {FORM}", 415)
        data = self.rfile.read(int(length))
        try:
            if len(data) != int(length):
                raise ValueError
            fields = parse_qs(data.decode("ascii"), True, True, "utf-8", "strict", max_num_fields=8)
        except ValueError:
            raise _Refused("form", "this is no form", 400) from None
        if any(len(values) > 1 for values in fields.values()):
            raise _Refused("form", "a field is given once", 400)
        return {name: values[0] for name, values in fields.items()}

    def _send(self, status: int, html: str) -> None:
        data = html.encode("utf-8", "backslashreplace")
        self.send_response(status)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(data))),
            ("Content-Security-Policy", self.server.desk.policy),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            # With `no-referrer` a browser would say `Origin: null`, and not whose page the form is of.
            ("Referrer-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library refuses by itself: requests that are none, too long lines, other methods."""
        self.close_connection = True
        status = 405 if code == 501 else code
        try:
            self._send(
                status, self.server.desk.plain("Refused", f"the request is none that is answered here ({status})")
            )
        except OSError:
            pass

    def log_message(self, format: str, *args: Any) -> None:
        pass
