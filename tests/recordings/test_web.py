"""The client against a server that misbehaves: waits that it asks for, broken answers, and where a token goes."""

from __future__ import annotations

import json
import time
from typing import Iterator

import pytest
from tests.recordings.server import Answer, Server, serving

from stagebook.model.problem import InputError, SurroundingsError
from stagebook.recordings import web
from stagebook.recordings.web import Client, Denied

TOKEN = "ghp_secretword"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"/list": list(range(250)), "/keyed": {"total_count": 3, "jobs": [1, 2, 3]}}) as found:
        yield found


class Talk:
    """A client, with what it said and how long it would have slept."""

    def __init__(self, server: Server) -> None:
        self.said: list[str] = []
        self.slept: list[float] = []
        self.client = Client(server.url, {"Authorization": f"Bearer {TOKEN}"}, self.said.append, self.slept.append)

    def all(self, path: str = "/list") -> list[int]:
        return [each for page in self.client.pages(path, per_page=100) for each in page]


@pytest.fixture
def talk(server: Server) -> Talk:
    return Talk(server)


def test_pages_are_followed_to_their_end(server: Server, talk: Talk) -> None:
    assert talk.all() == list(range(250))
    assert [asked.query.get("page") for asked in server.asked] == [None, "2", "3"]
    assert all(asked.headers["Authorization"] == f"Bearer {TOKEN}" for asked in server.asked)
    assert talk.slept == []


def test_gitlabs_next_page_is_followed_too(server: Server, talk: Talk) -> None:
    server.data["/few"] = [7]
    server.faults = [Answer(200, b"[1]", (("X-Next-Page", "2"),)), Answer(200, b"[2]", (("X-Next-Page", ""),))]
    assert talk.all("/few") == [1, 2]
    assert server.asked[1].query["page"] == "2"


@pytest.mark.parametrize(
    ("fault", "least", "most"),
    [
        (Answer(429, b"", (("Retry-After", "7"),)), 7, 7),
        (Answer(403, b"", (("Retry-After", "3"),)), 3, 3),
        (Answer(403, b'{"message": "You have exceeded a secondary rate limit."}'), 60, 60),
        (Answer(429, b""), 60, 60),
        (Answer(503, b"", (("Retry-After", "2"),)), 2, 2),
        (Answer(500, b"oops"), 0.5, 0.5),
        (Answer(200, b'{"jobs": [1, 2'), 0.5, 0.5),
        (Answer(200, b"[1, 2, 3]", length=9000), 0.5, 0.5),
        (Answer(200, b"<html>a proxy</html>"), 0.5, 0.5),
    ],
)
def test_it_waits_as_asked_and_asks_again(server: Server, talk: Talk, fault: Answer, least: float, most: float) -> None:
    server.faults = [fault]
    assert talk.all() == list(range(250))
    assert len(talk.slept) == 1 and least <= talk.slept[0] <= most
    assert "waits" in talk.said[0] and TOKEN not in talk.said[0]


def test_a_limit_that_is_reached_is_waited_out_until_it_begins_anew(server: Server, talk: Talk) -> None:
    reset = str(int(time.time()) + 40)
    server.faults = [Answer(403, b"", (("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", reset)))]
    talk.all()
    assert 38 <= talk.slept[0] <= 42
    talk.slept.clear()
    server.faults = [Answer(200, b"[1]", (("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", reset)))]
    talk.all("/keyed")
    talk.client.get("/keyed")
    assert len(talk.slept) == 1, "the next request waits, not this one"


def test_a_long_wait_is_left_to_the_user(server: Server, talk: Talk) -> None:
    server.faults = [Answer(429, b"", (("Retry-After", "3600"),))]
    with pytest.raises(SurroundingsError, match="the same command goes on from there"):
        talk.all()
    assert talk.slept == []


def test_what_stays_broken_is_given_up(server: Server, talk: Talk) -> None:
    server.faults = [Answer(502, b"")] * 10
    with pytest.raises(SurroundingsError, match="502, 5 times"):
        talk.all()
    assert talk.slept == [0.5, 1, 2, 4]


@pytest.mark.parametrize(("status", "says"), [(401, "not accepted"), (403, "may not read"), (404, "no such thing")])
def test_what_is_denied_is_not_asked_again(server: Server, talk: Talk, status: int, says: str) -> None:
    server.faults = [Answer(status, b'{"message": "no"}')]
    with pytest.raises(Denied, match=says) as caught:
        talk.all()
    assert TOKEN not in str(caught.value) and len(server.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_token_goes_to_no_other_server(server: Server, talk: Talk, status: int) -> None:
    with serving({"/list": [1]}) as other:
        server.faults = [Answer(status, b"", (("Location", f"{other.url}/list"),))]
        with pytest.raises(SurroundingsError, match="another server"):
            talk.all()
        server.faults = [Answer(200, b"[1]", (("Link", f'<{other.url}/list?page=2>; rel="next"'),))]
        with pytest.raises(SurroundingsError, match="another server"):
            talk.all()
        assert other.asked == []


def test_a_redirect_on_the_same_server_is_followed(server: Server, talk: Talk) -> None:
    server.faults = [Answer(301, b"", (("Location", "/list?per_page=100"),))]
    assert talk.all() == list(range(250))


def test_an_answer_that_trickles_ends(server: Server, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "ANSWER_S", 0.05)
    server.faults = [Answer(200, b"[" + b" " * 60 + b"]", chunks_s=0.01)]
    assert talk.all() == list(range(250))
    assert len(talk.slept) == 1 and "took more than" in talk.said[0]


def test_nobody_there_is_said_without_a_traceback(talk: Talk) -> None:
    dead = Client("http://127.0.0.1:9", {}, talk.said.append, talk.slept.append)
    with pytest.raises(SurroundingsError, match=":9/x"):
        dead.get("/x")


@pytest.mark.parametrize(
    "url",
    ["", "gitlab.com", "ftp://x", "http://example.org", "https://a b", "https://u:p@h", "https://h/?q=1", "https://h:x",
     "https://h\n", "https://[::1"],
)  # fmt: skip
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="--base-url"):
        Client(url, {"Authorization": "x"}, print)


def test_what_the_server_says_has_neither_the_token_nor_line_ends(server: Server, talk: Talk) -> None:
    said = {"message": f"bad header:\r\n\x1b[31mAuthorization: Bearer {TOKEN}"}
    server.faults = [Answer(418, json.dumps(said).encode())]
    with pytest.raises(Denied) as caught:
        talk.all()
    assert str(caught.value).endswith("418, bad header: [31mAuthorization: Bearer ***")


@pytest.mark.parametrize(
    "fault",
    [
        Answer(302, b"", (("Location", "http://[::1"),)),
        Answer(200, b"[1]", (("Link", '<http://[::1>; rel="next"'),)),
        Answer(200, b"[1]", (("Link", f'<http://other.example/{TOKEN}>; rel="next"'),)),
        Answer(302, b"", (("Location", f"http://other.example/{TOKEN}"),)),
    ],
)
def test_an_address_of_the_server_that_is_wrong(server: Server, talk: Talk, fault: Answer) -> None:
    server.faults = [fault]
    with pytest.raises(SurroundingsError, match=r"no address|another server") as caught:
        talk.all()
    assert TOKEN not in str(caught.value)
