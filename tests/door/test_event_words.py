"""`--event` with words that no system has: an error with the nearest one, whatever lies under that name."""

from __future__ import annotations

import os

import pytest
from tests.door.place import Place


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".github/workflows/ci.yml", "on: [push, pull_request]\njobs: {a: {runs-on: x, steps: [{run: make}]}}\n"),
        (".gitlab-ci.yml", "a: {script: make}\n"),
    ],
)
def test_a_word_that_is_no_event(place: Place, file: str, text: str) -> None:
    (place.folder / ".git").mkdir()
    place.write(text, file)
    os.mkfifo(place.folder / "pipe")
    for word, says in (("pull_reqest", "did you mean"), ("pipe", "event"), ("/dev/zero", "event")):
        done = place.run("map", file, "--event", word)
        assert done.code == 2 and says in done.err and "Traceback" not in done.err, done
    assert place.run("map", file, "--event", "schedule").code == 0


def test_a_file_of_an_event_that_does_not_say_which(place: Place) -> None:
    (place.folder / ".git").mkdir()
    place.write("on: push\njobs: {a: {runs-on: x, steps: [{run: make}]}}\n", ".github/workflows/ci.yml")
    place.write('{"ref": "refs/heads/main"}', "told.json")
    done = place.run("map", ".github/workflows/ci.yml", "--event", "told.json")
    assert done.code == 2 and "says it under `event_name`" in done.err
    place.write('{"ref": "refs/heads/main", "event_name": "push"}', "told.json")
    assert place.run("map", ".github/workflows/ci.yml", "--event", "told.json").code == 0
