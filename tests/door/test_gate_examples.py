"""The examples with gates run as they stand."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from tests.door import waiting
from tests.door.place import Place, by_stage, outcomes

ROOT = Path(__file__).resolve().parents[2]


def copied(place: Place, name: str) -> None:
    for path in (ROOT / "examples" / name).iterdir():
        if path.is_file():
            shutil.copy(path, place.folder)
            (place.folder / path.name).chmod(0o644)
    assert place.run("lint", "--strict").code == 0


def test_r018_deploy_notes_and_scan_go_on_while_production_waits(place: Place) -> None:
    copied(place, "deploy")
    assert place.run("run", "--no-wait").code == 3
    shown = place.show()
    done = outcomes(shown)
    assert done["notes"] == done["scan"] == done["smoke"] == "success"
    assert (done["ship"], done["production"]) == (None, None) and shown["waiting"] == "gate"
    assert [row[0] for row in place.events("gate.asked")[0]["artifacts"]] == [".work/app.tar"]
    assert place.run("approve", "last", "ship").code == 0
    assert outcomes(place.show())["confirm"] == "success"
    assert place.run("approve", "last", "ship").code == 2


def vote(place: Place, person: str, decision: str) -> None:
    """An answer by a link, as the person would give it on its page."""
    command = place.start("gate-link", "last", "sign", "--for", person, "--record-only", "--json")
    link = json.loads(waiting.until(lambda: command.so_far()[0], "a link"))["url"]
    parts = urlsplit(link)
    with urlopen(link) as page:
        csrf = re.search(r'name="csrf" value="(\w+)"', page.read().decode())
    assert csrf is not None
    fields = {"csrf": csrf[1], "decision": decision, "comment": f"{person} has read it"}
    request = Request(link, urlencode(fields).encode(), {"Origin": f"{parts.scheme}://{parts.netloc}"})
    with urlopen(request) as answer:
        assert answer.status == 200
    assert command.wait().code == 0


@pytest.mark.parametrize(
    ("votes", "published"),
    [((("ann", "approve"), ("bob", "approve")), True), ((("ann", "approve"), ("carol", "reject")), False)],
)
def test_documents_takes_two_of_three_editors_and_one_can_send_it_back(
    place: Place, votes: tuple[tuple[str, str], ...], published: bool
) -> None:
    copied(place, "documents")
    assert place.run("run", "--no-wait", "-j", "3").code == 3
    assert place.run("approve", "last", "sign").code == 2, "who runs it is no editor"
    for person, decision in votes:
        vote(place, person, decision)
    gate = by_stage(place.show())["sign"]["gate"]
    assert [each["by"] for each in gate["approvals"]] == [person for person, word in votes if word == "approve"]
    done = place.run("run", "--resume", "last", "--json")
    assert done.code == (0 if published else 1)
    assert (place.folder / ".work" / "published.txt").exists() is published
    assert (place.folder / ".work" / "returned.txt").exists() is not published
