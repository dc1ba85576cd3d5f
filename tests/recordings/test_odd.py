"""Recordings in which anything may be anything: they are refused, or become journals that can be read."""

from __future__ import annotations

import copy
import json
import random
from typing import Any, Iterator

import pytest
from tests.recordings import synthetic

from stagebook.formats.github import runs as github
from stagebook.formats.gitlab import runs as gitlab
from stagebook.formats.source import documents
from stagebook.model.problem import InputError
from stagebook.record.line import decode
from stagebook.record.retelling import retell
from stagebook.record.shapes import fault
from stagebook.recordings.journal import write
from stagebook.recordings.match import Names

ODD: list[Any] = [
    None, True, -1, 0, 10**30, 1.5, "", "x", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01", "completed",
    "2026-13-01T00:00:00Z", [], {}, [1], {"a": 1}, "\x1b[2J", "\ud800", ["a", None], "failed", "../x",
]  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """All containers with their keys."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from places(inner)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("reader", "made"), [(github, synthetic.github), (gitlab, synthetic.gitlab)])
def test_whatever_it_holds(reader: Any, made: Any, seed: int) -> None:
    chance = random.Random(seed)
    whole = list(made(1, seed))
    for _ in range(40):
        odd = copy.deepcopy(whole)
        for container, key in chance.sample(list(places(odd)), chance.randint(1, 5)):
            container[key] = chance.choice(ODD)
        data = json.dumps(odd).encode()
        try:
            found = reader.parse(list(documents.items("f", documents.parse(data, "f"), reader.KEYS)))
        except InputError:
            continue
        for run in found.runs:
            written = write(run, None, Names(None), "")
            if written is not None:
                records = [decode(line) for line in written.journal.splitlines(True)]
                assert [fault(record) for record in records] == [None] * len(records)
                assert retell(records, "j").document()["outcome"]
