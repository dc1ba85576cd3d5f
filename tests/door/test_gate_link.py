"""`gate-link`: a gate is answered by a link, once, by whom it is for; everything else is refused and on record."""

from __future__ import annotations

import getpass
import http.client
import json
import re
import signal
import socket
import threading
from pathlib import Path
from typing import Any, Iterator, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest
from tests.door import waiting
from tests.door.browser import chromium
from tests.door.place import Command, Document, Place, noted, outcomes
from tests.door.terminal import Terminal

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "json.md"
FORM = "application/x-www-form-urlencoded"
GATE: dict[str, Any] = {"prompt": "Ship <it>?", "approvers": ["ann", "bob"]}


def pipeline(place: Place, **gate: Any) -> None:
    place.pipeline({
        "build": {"run": "mkdir -p dist; echo app > dist/app", "outputs": ["dist/app"]},
        "ship": {"gate": {**GATE, **gate}, "needs": "build"},
        "deploy": {"run": noted(), "needs": "ship"},
    })  # fmt: skip


def waits(place: Place, **gate: Any) -> str:
    """A run that waits at its gate, its engine gone; its id."""
    pipeline(place, **gate)
    assert place.run("run", "--no-wait", "--quiet").code == 3
    return place.run_ids()[-1]


class Answer(NamedTuple):
    code: int
    html: str
    headers: dict[str, str]


class Link:
    """A link that is served."""

    def __init__(self, place: Place, *words: str) -> None:
        self.command: Command = place.start("gate-link", "last", "ship", "--json", *words)
        out = waiting.until(lambda: self.ended() or self.command.so_far()[0], "the link")
        assert isinstance(out, str), out
        self.told: Document = json.loads(out)
        self.port: int = self.told["port"]
        self.path = urlsplit(self.told["url"]).path

    def ended(self) -> object:
        return self.command.so_far() if self.command.process.poll() is not None else None

    def ask(self, method: str, body: str = "", path: str | None = None, **headers: str) -> Answer:
        host = f"127.0.0.1:{self.port}"
        given = {"Host": host, **({"Origin": f"http://{host}", "Content-Type": FORM} if method == "POST" else {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path or self.path, body or None, {**given, **headers})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))
        finally:
            connection.close()

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="(\w+)"', self.ask("GET").html)
        assert found is not None
        return found[1]

    def post(self, decision: str = "approve", comment: str = "", path: str | None = None, **headers: str) -> Answer:
        return self.ask(
            "POST", urlencode({"csrf": self.csrf(), "decision": decision, "comment": comment}), path, **headers
        )


def entries(place: Place, what: str = "") -> list[Document]:
    """What the chain holds now; that it holds is asked by `audit`."""
    path = place.folder / ".stagebook" / "audit.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [entry for entry in found if what in ("", entry["what"])]


def refused(place: Place) -> list[str]:
    return [entry["code"] for entry in entries(place, "refused")]


def is_open(place: Place) -> bool:
    """Whether the gate waits as before and nothing after it began."""
    events = [record["event"] for record in place.journal()]
    return "gate.asked" in events and not {"gate.answered", "run.ended"} & set(events) and place.began() == []


# What it is for -----------------------------------------------------------------------------------------------------


def test_r018_the_page_shows_what_is_asked_and_its_answer_goes_on_with_the_run(place: Place) -> None:
    run = waits(place)
    link = Link(place, "--for", "ann")
    assert (link.told["run"], link.told["gate"], link.told["for"]) == (run, "ship", "ann")
    page = link.ask("GET")
    assert page.code == 200
    for text in ("ship: Ship &lt;it&gt;?", "dist/app", "asked: ann, bob", "build", "nobody has approved yet"):
        assert text in page.html
    assert re.search(r"dist/app</th>.*?[0-9a-f]{64}", page.html)
    assert "script" not in page.html
    assert "form-action 'self'; frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert place.show()["waiting"] == "gate", "looking changes nothing"
    done = link.post(comment="read & <fine>")
    assert (done.code, "ship is approved by ann" in done.html) == (200, True)
    assert link.command.wait().code == 0
    assert outcomes(place.show()) == {"build": "success", "ship": "success", "deploy": "success"}
    assert place.began() == ["deploy"]
    assert place.run("audit", "--verify").code == 0
    made, approved = entries(place)
    assert (made["what"], made["by"], made["for"]) == ("link", getpass.getuser(), "ann")
    assert (approved["what"], approved["by"], approved["decides"]) == ("approved", "ann", True)
    assert approved["from"]["via"] == "link"
    assert (approved["from"]["link"], approved["from"]["made_by"]) == (made["link"], getpass.getuser())
    explained = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", REFERENCE.read_text()))))
    assert {*link.told, *made, *approved, *approved["from"]} - explained == set()
    token = link.path.rpartition("/")[2]
    kept = [path for path in (place.folder / ".stagebook").rglob("*") if path.is_file()]
    assert not [path for path in kept if token.encode() in path.read_bytes()], "a link is a secret"
    assert (place.folder / ".stagebook" / "link.key").stat().st_mode & 0o777 == 0o600


def test_a_live_engine_goes_on_by_the_answer(place: Place) -> None:
    pipeline(place)
    run = place.start("run", "--json")
    waiting.until(lambda: place.events("gate.asked"), "the question")
    link = Link(place, "--for", "ann")
    assert link.post().code == 200
    assert link.command.wait().code == 0
    done = run.wait()
    assert (done.code, done.json["outcome"]) == (0, "success")


def test_a_rejection_ends_it(place: Place) -> None:
    waits(place)
    link = Link(place, "--for", "bob")
    answer = link.post("reject", "not yet")
    assert "ship is rejected by bob" in answer.html
    assert link.command.wait().code == 1, "as the run that went on here"
    assert (place.show()["outcome"], place.began()) == ("failure", [])


def test_a_quorum_takes_a_link_for_each(place: Place) -> None:
    waits(place, quorum=2)
    first = Link(place, "--for", "ann")
    assert "ship is approved by ann" in first.post().html
    assert first.command.wait().code == 0
    assert is_open(place)
    second = Link(place, "--for", "bob", "--record-only")
    assert re.search(r"Approvals 1 of 2.*<th scope=\"row\">ann", second.ask("GET").html, re.DOTALL)
    assert second.post().code == 200
    assert second.command.wait().code == 0
    assert place.began() == [], "it is recorded only"
    assert place.run("run", "--resume", "--quiet").code == 0
    assert place.began() == ["deploy"]


def test_a_decision_elsewhere_ends_the_link(place: Place) -> None:
    waits(place, approvers=[])
    link = Link(place)
    assert place.run("approve", "last", "ship", "--record-only").code == 0
    done = link.command.wait()
    assert done.code == 0
    assert "the link no longer holds" in done.err


def test_on_a_terminal_an_approver_sees_what_it_is_about_and_is_asked_once(place: Place) -> None:
    waits(place, approvers=[])
    with Terminal(place, "reject", "last", "ship") as terminal:
        waiting.until(lambda: "reject? [y/N]" in terminal.text(), "the question")
        for said in ("‖ ship: Ship <it>?", "dist/app", "passed   build", "approvals 0 of 1", "the pipeline file is"):
            assert said in terminal.text()
        terminal.type(b"\n")
        assert terminal.wait() == 1
    assert (entries(place), is_open(place)) == ([], True)
    with Terminal(place, "approve", "last", "ship") as terminal:
        waiting.until(lambda: "approve? [y/N]" in terminal.text(), "the question")
        terminal.type(b"y\n")
        assert terminal.wait() == 0
    assert place.began() == ["deploy"]


def test_in_a_real_browser_without_any_script(place: Place) -> None:
    waits(place)
    link = Link(place, "--for", "ann")
    complaints: list[str] = []
    with chromium() as browser:
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.set_default_timeout(10_000)
        page.goto(link.told["url"])
        assert page.inner_text("h1") == "ship: Ship <it>?"
        assert page.evaluate("getComputedStyle(document.querySelector('button.yes')).cursor") == "pointer", "styled"
        page.get_by_label("Comment").fill("looks <b>good</b>")
        page.get_by_role("button", name="Approve").click()
        page.wait_for_selector("text=ship is approved by ann")
        assert page.locator("form").count() == 0
        context.close()
    assert complaints == []
    assert link.command.wait().code == 0
    approval = place.show()["stages"][1]["gate"]["approvals"][0]
    assert (approval["by"], approval["comment"]) == ("ann", "looks <b>good</b>")


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.fixture
def link(place: Place) -> Iterator[Link]:
    """A link of a run that waits; afterwards the gate still does, and a right answer still counts."""
    waits(place)
    made = Link(place, "--for", "ann", "--record-only")
    yield made
    assert is_open(place)
    assert made.post().code == 200
    assert made.command.wait().code == 0


def test_g24_a_link_that_was_altered_forged_or_of_another_is_refused(link: Link, place: Place) -> None:
    token = link.path.rpartition("/")[2]
    altered = f"/gate/{'A' if token[0] != 'A' else 'B'}{token[1:]}"
    for path in (altered, "/gate/" + "x" * 200, link.path[:-3], link.path + "/"):
        assert link.ask("GET", path=path).code == 403
        assert link.post(path=path).code == 403
    assert refused(place) == ["forged"] * 8
    bob = Link(place, "--for", "bob")
    assert bob.post(path=link.path).code == 403
    second = Link(place, "--for", "bob")
    assert second.post(path=bob.path).code == 403
    assert refused(place)[8:] == ["other-person", "other-link"]
    entry = entries(place, "refused")[-1]
    assert (entry["gate"], entry["from"]["address"], entry["from"]["method"]) == ("ship", "127.0.0.1", "POST")
    for each in (bob, second):
        each.command.send(signal.SIGINT)
        assert each.command.wait().code == 130


def test_g24_a_link_of_another_run_is_refused(link: Link, place: Place) -> None:
    assert place.run("run", "--no-wait", "--quiet", "--force").code == 3
    other = Link(place, "--for", "ann")
    assert link.post(path=other.path).code == 403
    assert refused(place) == ["other-run"]
    other.command.send(signal.SIGINT)
    other.command.wait()
    place.run("cancel", "last")
    (place.folder / ".stagebook" / "runs" / other.told["run"]).rename(place.base / "gone")


def test_g25_other_hosts_and_origins_and_forms_without_the_field_are_refused(link: Link, place: Place) -> None:
    port = link.port
    assert link.ask("GET", Host=f"evil.example:{port}").code == 403
    assert link.post(Host="evil.example").code == 403
    assert link.post(Origin="http://evil.example").code == 403
    assert link.post(Origin="null").code == 403
    assert link.ask("POST", "decision=approve").code == 403
    assert link.ask("PUT").code == 405
    assert link.ask("POST", "x" * 20_000).code == 413
    assert refused(place) == ["host", "host", "origin", "origin", "csrf"]


def test_g24_after_the_file_was_edited_it_cannot_be_approved(link: Link, place: Place) -> None:
    path = place.folder / "stagebook.yaml"
    before = path.read_text()
    path.write_text(before.replace("echo app", "echo evil"))
    answer = link.post()
    assert (answer.code, "the pipeline file was changed" in answer.html) == (409, True)
    path.write_text(before)
    (place.folder / "dist" / "app").write_text("evil\n")
    answer = link.post()
    assert (answer.code, "dist/app is no longer what was shown" in answer.html) == (409, True)
    (place.folder / "dist" / "app").write_text("app\n")
    assert refused(place) == ["edited", "artifacts"]


def test_g24_after_the_decision_a_link_that_is_still_served_is_refused(place: Place) -> None:
    waits(place, approvers=[])
    link = Link(place, "--record-only")
    body = urlencode({"csrf": link.csrf(), "decision": "approve"})
    link.command.send(signal.SIGSTOP)
    assert place.run("reject", "last", "ship", "--record-only").code == 0
    codes: list[int] = []
    late = threading.Thread(target=lambda: codes.append(link.ask("POST", body).code))
    late.start()
    waiting.until(lambda: connections(link.port) > 1, "a connection that waits to be accepted")
    link.command.send(signal.SIGCONT)
    late.join()
    assert codes == [410]
    assert link.command.wait().code == 0
    assert refused(place) in (["decided"], ["over"])
    assert entries(place, "approved") == []


def connections(port: int) -> int:
    """How many sockets of this machine have that port at their own end."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(f":{port:04X}") for line in lines)


def test_g24_own_change_by_link(place: Place) -> None:
    own = getpass.getuser()
    waits(place, approvers=[own, "bob"], **{"self-approval": False})
    link = Link(place, "--record-only")
    answer = link.post()
    assert (answer.code, f"{own} started the run" in answer.html) == (409, True)
    assert is_open(place)
    assert link.post("reject").code == 200
    assert link.command.wait().code == 0
    assert refused(place) == ["self"]


def test_g24_where_the_list_of_approvers_cannot_be_trusted_nobody_counts(place: Place) -> None:
    path = place.write("ops: [ann]\n", "approvers.yaml")
    path.chmod(0o644)
    waits(place, approvers=["ops"], **{"approvers-file": "approvers.yaml"})
    link = Link(place, "--for", "ann", "--record-only")
    for spoil, said in (
        (lambda: path.chmod(0o666), "can be written by others; chmod go-w"),
        (lambda: path.chmod(0o644) or path.write_text("ops: [ann\n"), "approvers.yaml:2: not valid YAML"),
        (path.unlink, "No such file"),
        (lambda: path.write_text("ops: [bob]\n"), "ann is no approver of ship"),
    ):
        spoil()
        answer = link.post()
        assert (answer.code, said in answer.html) == (409, True), (said, answer.html)
    assert is_open(place)
    path.write_text("ops: [ann]\n")
    path.chmod(0o644)
    assert link.post().code == 200
    assert link.command.wait().code == 0
    assert refused(place) == ["no-approvers"] * 3 + ["not-listed"]


def test_refusals_without_end_do_not_fill_the_disk(place: Place) -> None:
    waits(place)
    link = Link(place, "--for", "ann", "--record-only")
    for _ in range(130):
        assert link.ask("GET", path="/gate/x").code == 403
    assert link.post().code == 200
    assert link.command.wait().code == 0
    assert refused(place) == [*["forged"] * 100, "more"]
    assert entries(place, "refused")[-1]["reason"] == "30 more attempts were refused"


def test_g24_used_twice_and_at_once_exactly_one_counts(place: Place) -> None:
    waits(place, quorum=2)
    link = Link(place, "--for", "ann", "--record-only")
    body = urlencode({"csrf": link.csrf(), "decision": "approve"})
    start = threading.Barrier(4)
    codes: list[int] = []

    def click() -> None:
        start.wait()
        try:
            codes.append(link.ask("POST", body).code)
        except OSError:
            codes.append(0)  # it was over before

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes.count(200) == 1
    assert set(codes) <= {200, 410, 0}
    assert link.command.wait().code == 0
    assert len(entries(place, "approved")) == 1
    assert refused(place) == ["used"] * codes.count(410)


def test_g24_an_expired_link_ends_and_holds_nowhere(place: Place) -> None:
    waits(place)
    link = Link(place, "--for", "ann", "--expires", "1s")
    later = Link(place, "--for", "ann")
    done = link.command.wait()
    assert (done.code, "the link has expired; the link no longer holds" in done.err) == (3, True)
    assert later.post(path=link.path).code == 410
    assert refused(place) == ["link-expired"]
    later.command.send(signal.SIGINT)
    assert later.command.wait().code == 130
    assert is_open(place)


def test_no_link_is_made_for_who_could_not_answer_or_where_nothing_is_asked(place: Place) -> None:
    waits(place)
    for words, code, said in (
        (["last", "ship", "--for", "eve"], 2, "refused: eve is no approver of ship; asked are ann, bob"),
        (["last", "nogate"], 2, "`nogate` is no stage"),
        (["last", "build"], 2, "`build` is no gate"),
        (["01ZZZ", "ship"], 2, "no run"),
        (["last", "ship", "--for", "ann", "--expires", "90d"], 2, "1s to 30d"),
        (["last", "ship", "--for", "ann", "--expires", "4"], 2, "has no unit"),
        (["last", "ship", "--for", "ann", "--port", "70000"], 2, "65535"),
    ):
        done = place.run("gate-link", *words)
        assert (done.code, done.out) == (code, ""), done
        assert said in done.err
    assert refused(place) == ["not-listed"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = place.run("gate-link", "last", "ship", "--for", "ann", "--port", port)
    assert (done.code, f"cannot serve on port {port}: Address already in use" in done.err) == (4, True)
    assert place.run("reject", "last", "ship", env={"LOGNAME": "ann"}).code == 2, "who says so is the account"
    place.run("cancel", "last")
    done = place.run("gate-link", "last", "ship", "--for", "ann")
    assert (done.code, "refused: " in done.err) == (2, True)
