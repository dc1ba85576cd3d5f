"""The page of a link by raw HTTP: what may be done, what is refused, and by whom nobody is kept waiting."""

from __future__ import annotations

import random
import re
import socket
import threading
import time
from contextlib import contextmanager
from typing import Any, Iterator, Mapping
from urllib.parse import urlencode

import pytest
from tests.door import waiting

from stagebook.approval import server as served
from stagebook.approval.judge import Refusal
from stagebook.approval.server import Answer, Desk, Server
from stagebook.model.problem import SurroundingsError

TOKEN = "good-token"


class Office:
    """A desk that remembers, and a server at it."""

    def __init__(self) -> None:
        self.votes: list[tuple[bool, str | None]] = []
        self.refusals: list[str] = []
        self.answer = Answer(decision=True)
        self.trouble: Exception | None = None
        self.over = threading.Event()
        self.ends_it = False  #: whether the trouble is to be raised where it is served
        self.failed: list[Exception] = []
        self.desk = Desk(
            lambda token: None if token == TOKEN else Refusal("forged", "<b>no</b>"),
            lambda csrf, said: f"csrf={csrf} said={said}",
            lambda title, text: f"{title}: {text}",
            self.decide,
            self.refused,
            "default-src 'none'",
        )
        self.server = Server(self.desk)

    def refused(self, refusal: Refusal, where: Mapping[str, Any]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.refusals.append(refusal.code)

    def decide(self, approved: bool, comment: str | None) -> Answer:
        if self.trouble is not None:
            raise self.trouble
        self.votes.append((approved, comment))
        return self.answer

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def raw(self, data: bytes, within_s: float = 5) -> bytes:
        with socket.create_connection(("127.0.0.1", self.server.port), within_s) as connection:
            connection.sendall(data)
            answer = b""
            while part := connection.recv(1 << 16):
                answer += part
            return answer

    def ask(self, method: str, path: str = f"/gate/{TOKEN}", body: str = "", **headers: str | None) -> tuple[int, str]:
        given: dict[str, str | None] = {"Host": self.host}
        if method == "POST":
            given |= {
                "Origin": f"http://{self.host}",
                "Content-Type": served.FORM,
                "Content-Length": str(len(body)),
            }
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [
            f"{method} {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in given.items() if value is not None),
        ]
        answer = self.raw("\r\n".join([*lines, "", body]).encode()).decode()
        return int(answer.split()[1]), answer

    def csrf(self) -> str:
        found = re.search(r"csrf=(\w+)", self.ask("GET")[1])
        assert found is not None
        return found[1]

    def post(self, decision: str = "approve", csrf: str | None = None, **headers: str | None) -> tuple[int, str]:
        fields = {"csrf": self.csrf() if csrf is None else csrf, "decision": decision, "comment": "looks & good"}
        return self.ask("POST", body=urlencode(fields), **headers)


@contextmanager
def open_office() -> Iterator[Office]:
    office = Office()
    failed: list[Exception] = office.failed

    def serve() -> None:
        try:
            office.server.serve_until(office.over.is_set)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield office
    finally:
        office.over.set()
        thread.join(10)
        assert not thread.is_alive()
    assert failed == ([office.trouble] if office.ends_it else [])


@pytest.fixture
def office() -> Iterator[Office]:
    with open_office() as made:
        yield made


def test_a_get_shows_and_changes_nothing(office: Office) -> None:
    for method in ("GET", "HEAD", "GET"):
        code, answer = office.ask(method)
        assert code == 200
        assert ("csrf=" in answer) == (method == "GET")
    for name in ("approve", "reject"):
        assert office.ask("GET", f"/gate/{TOKEN}?decision={name}&csrf={office.csrf()}")[0] == 200
    assert office.votes == office.refusals == []


def test_a_post_from_the_page_decides_once(office: Office) -> None:
    csrf = office.csrf()
    code, answer = office.post(csrf=csrf)
    assert (code, office.votes) == (200, [(True, "looks & good")])
    assert "said=approved" in answer
    code, answer = office.post("reject", csrf=csrf)
    assert (code, office.refusals, len(office.votes)) == (410, ["used"], 1)
    assert office.ask("GET")[1].endswith("csrf= said=None"), "no form any more"


def test_g24_of_two_clicks_at_once_exactly_one_counts(office: Office) -> None:
    csrf = office.csrf()
    start = threading.Barrier(8)
    codes: list[int] = []

    def click() -> None:
        start.wait()
        codes.append(office.post(csrf=csrf)[0])

    threads = [threading.Thread(target=click) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200, *[410] * 7]
    assert (len(office.votes), office.refusals) == (1, ["used"] * 7)


def test_a_vote_that_was_refused_leaves_the_link_usable(office: Office) -> None:
    office.answer = Answer(Refusal("edited", "the file was changed"))
    assert office.post()[0] == 409
    assert office.refusals == [], "who judged it has put it on record"
    office.answer = Answer(decision=True)
    assert office.post()[0] == 200


@pytest.mark.parametrize(
    ("headers", "code", "refused"),
    [
        ({"Host": "evil.example"}, 403, "host"),
        ({"Host": "127.0.0.1"}, 403, "host"),
        ({"Host": None}, 403, "host"),
        ({"Host": "127.0.0.1.evil.example:80"}, 403, "host"),
        ({"Origin": "http://evil.example"}, 403, "origin"),
        ({"Origin": "null"}, 403, "origin"),
        ({"Origin": None}, 403, "origin"),
        ({"Origin": "https://127.0.0.1"}, 403, "origin"),
        ({"Sec_Fetch_Site": "cross-site"}, 403, "origin"),
    ],
    ids=str,
)
def test_g25_foreign_hosts_and_origins_are_refused(
    headers: dict[str, str | None], code: int, refused: str, office: Office
) -> None:
    assert office.post(**headers)[0] == code
    assert (office.votes, office.refusals) == ([], [refused])


@pytest.mark.parametrize("name", ["localhost", "[::1]", "LOCALHOST"])
def test_all_names_of_loopback_are_ours(name: str, office: Office) -> None:
    host = f"{name}:{office.server.port}"
    assert office.post(Host=host, Origin=f"http://{host}")[0] == 200


def test_a_foreign_host_sees_nothing_by_get_either(office: Office) -> None:
    code, answer = office.ask("GET", Host=f"evil.example:{office.server.port}")
    assert code == 403
    assert "csrf" not in answer
    assert office.refusals == ["host"]


@pytest.mark.parametrize(
    ("path", "code"),
    [("/gate/forged", 403), ("/gate/", 403), ("/", 404), ("/favicon.ico", 404), ("/log/../../etc/passwd", 404)],
)
def test_other_paths_lead_nowhere(path: str, code: int, office: Office) -> None:
    assert office.ask("GET", path)[0] == code
    assert office.post(csrf="x")[0] == 403
    assert office.refusals == [*(["forged"] if code == 403 else []), "csrf"]


def test_g25_a_form_without_its_field_or_of_another_page_is_refused(office: Office) -> None:
    for csrf in ("", "&csrf=", "&csrf=" + "0" * 48, "&csrf=%C3%A9"):
        assert office.ask("POST", body=f"decision=approve{csrf}")[0] == 403
    assert (office.votes, office.refusals) == ([], ["csrf"] * 4)


def test_forms_that_are_none_are_refused(office: Office) -> None:
    csrf = office.csrf()
    right = f"csrf={csrf}&decision=approve"
    for body, headers, code in (
        (f"csrf={csrf}", {}, 400),
        (f"csrf={csrf}&decision=perhaps", {}, 400),
        (f"{right}&decision=reject", {}, 400),
        (f"{right}&comment=%ff", {}, 400),
        (f"{right}&comment={'x' * 1001}", {}, 400),
        ("&".join(f"{letter}=1" for letter in "abcdefghijk"), {}, 400),
        (right, {"Content_Type": "text/plain"}, 415),
        (right, {"Content_Type": "multipart/form-data; boundary=x"}, 415),
        (right, {"Content_Length": None}, 411),
        (right, {"Content_Length": "-1"}, 411),
        (right, {"Content_Length": None, "Transfer_Encoding": "chunked"}, 411),
        (right, {"Content_Length": str(1 << 30)}, 413),
        (right, {"Content_Length": "9" * 400}, 413),
    ):
        assert office.ask("POST", body=body, **headers)[0] == code, (body, headers)
    assert office.votes == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused(method: str, office: Office) -> None:
    assert office.ask(method)[0] == 405
    assert office.votes == []


def test_bytes_that_are_no_request_are_answered_or_dropped_and_hurt_nobody(office: Office) -> None:
    for data in (
        b"\r\n\r\n", b"\0" * 1000 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02" * 20,
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 500 + b"\r\n",
    ):  # fmt: skip
        try:
            with socket.create_connection(("127.0.0.1", office.server.port), 5) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
        except OSError:
            pass  # it has hung up
    assert office.ask("GET")[0] == 200


@pytest.mark.parametrize("seed", range(3))
def test_requests_with_anything_in_any_place_end_in_a_refusal_and_never_in_a_defect(seed: int, office: Office) -> None:
    chance = random.Random(seed)
    odd = [
        "",
        "\0",
        "é",
        "[",
        "http://[/gate/x",
        "%ff",
        "=?utf-8?q?x?=",
        "\x7f",
        "x" * 3000,
        ";;",
        "\t",
        "//[::",
        "-1",
        "\udcff",
    ]
    body = f"csrf={office.csrf()}&decision=approve"
    for _ in range(60):
        parts = [
            "POST", f"/gate/{TOKEN}", "HTTP/1.1", "Host", office.host, "Origin", f"http://{office.host}",
            "Content-Type", served.FORM, "Content-Length", str(len(body)), "Sec-Fetch-Site", "same-origin", body,
        ]  # fmt: skip
        for at in chance.sample(range(len(parts)), chance.randint(1, 3)):
            parts[at] = chance.choice(odd)
        method, path, version, *headers, form = parts
        lines = [f"{name}: {value}" for name, value in zip(headers[::2], headers[1::2])]
        text = "\r\n".join([f"{method} {path} {version}", *lines, "", form])
        try:
            with socket.create_connection(("127.0.0.1", office.server.port), 5) as connection:
                connection.sendall(text.encode("latin-1", "replace"))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
        except ConnectionError:
            pass
        assert office.server.defect is None, text
        office.server.used = None
    assert office.ask("GET")[0] == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_answer_says_what_a_browser_may_do(method: str, office: Office) -> None:
    answer = office.ask("GET")[1] if method == "GET" else office.post(csrf="wrong")[1]
    head = answer.partition("\r\n\r\n")[0].lower()
    for line in (
        "content-security-policy: default-src 'none'", "cache-control: no-store", "x-content-type-options: nosniff",
        "x-frame-options: deny", "referrer-policy: same-origin", "connection: close", "server: stagebook ",
    ):  # fmt: skip
        assert line in head + "\r\n"
    assert "python" not in head


def test_g25_five_hundred_slow_clients_keep_nobody_waiting(office: Office) -> None:
    slow = []
    try:
        for at in range(500):
            connection = socket.create_connection(("127.0.0.1", office.server.port), 5)
            connection.sendall(b"POST /gate/x HTTP/1.1\r\nHost: " if at % 2 else b"G")
            slow.append(connection)
        for _ in range(3):
            began = time.monotonic()
            assert office.ask("GET")[0] == 200
            assert time.monotonic() - began < 1
        waiting.until(lambda: threading.active_count() < served.CONNECTIONS_MAX + 20, "the end of those cut off")
    finally:
        for connection in slow:
            connection.close()


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "REQUEST_S", 0.5)
    with socket.create_connection(("127.0.0.1", office.server.port), 5) as connection:
        deadline = time.monotonic() + 10
        connection.settimeout(0.05)
        gone = False
        while not gone:
            assert time.monotonic() < deadline
            try:
                connection.sendall(b"G")
                gone = connection.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                gone = True


def test_a_header_without_end_is_not_gathered_for_ever(office: Office) -> None:
    with socket.create_connection(("127.0.0.1", office.server.port), 5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        sent = 0
        try:
            while sent < 16 << 20:
                sent += connection.send(b"x: " + b"y" * 60_000 + b"\r\n")
            raise AssertionError("it read all of it")
        except ConnectionError:
            pass
    assert office.ask("GET")[0] == 200


def test_trouble_is_said_and_the_link_stays_usable(office: Office) -> None:
    office.trouble = SurroundingsError("the engine has not answered")
    code, answer = office.post()
    assert code == 503
    assert "the engine has not answered" in answer
    office.trouble = None
    assert office.post()[0] == 200


def test_a_defect_ends_it_and_is_raised_where_it_is_served() -> None:
    with open_office() as office:
        office.trouble, office.ends_it = ZeroDivisionError(), True
        code, answer = office.post()
        assert code == 500
        assert "defect" in answer


def test_attempts_that_cannot_be_recorded_end_it() -> None:
    with open_office() as office:
        office.trouble, office.ends_it = SurroundingsError("the disk is full"), True
        assert office.ask("GET", "/gate/forged")[0] == 403


def test_who_came_before_it_was_over_is_told_so_though_nobody_was_let_in_yet() -> None:
    office = Office()
    office.over.set()
    with socket.create_connection(("127.0.0.1", office.server.port), 5) as connection:
        fields = urlencode({"csrf": office.server.csrf, "decision": "approve"})
        head = f"POST /gate/{TOKEN} HTTP/1.1\r\nHost: {office.host}\r\nOrigin: http://{office.host}\r\n"
        form = f"Content-Type: {served.FORM}\r\nContent-Length: {len(fields)}\r\n\r\n{fields}"
        connection.sendall((head + form).encode())
        office.server.serve_until(office.over.is_set)
        assert connection.recv(1 << 16).split()[1] == b"410"
    assert (office.votes, office.refusals) == ([], ["over"])
