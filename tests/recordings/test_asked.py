"""Which runs are asked for: all of them, though a search lists a thousand only, and no more than are wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest
from tests.recordings import synthetic

from stagebook.model.problem import SurroundingsError
from stagebook.recordings import asked
from stagebook.recordings.asked import Kept, Wanted


class Stub:
    """Stands for a client: lists at most a thousand runs of a search, latest first, a hundred a page."""

    def __init__(self, count: int) -> None:
        self.created = [synthetic.stamp(synthetic.BEGIN_S + 60 * (number // 2)) for number in range(count)]
        self.searches: list[str] = []
        self.jobs = 0

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        if path.endswith("/jobs"):
            self.jobs += 1
            yield {"total_count": 0, "jobs": []}
            return
        self.searches.append(query["created"])
        since, _, until = query["created"].removeprefix(">=").partition("..")
        fitting = [
            {"id": number + 1, "status": "completed", "run_attempt": 1, "created_at": at, "path": "ci.yml"}
            for number, at in enumerate(self.created)
            if at >= since and (not until or at <= until)
        ]
        listed = fitting[::-1][:1000]
        for first in range(0, len(listed), 100):
            yield {"total_count": len(fitting), "workflow_runs": listed[first : first + 100]}


def ids(stub: Stub, wanted: Wanted, folder: Path) -> list[int]:
    kept = Kept(str(folder), "github", "https://api", wanted.repo)
    client: Any = stub
    return [items[0].value["id"] for items in asked.github(client, wanted, kept, lambda path: False)]


@pytest.mark.parametrize("count", [0, 999, 1000, 2500])
def test_a_search_that_ends_at_a_thousand_is_gone_on_with(count: int, tmp_path: Path) -> None:
    stub = Stub(count)
    found = ids(stub, Wanted("o/r", synthetic.stamp(synthetic.BEGIN_S)), tmp_path)
    assert found == list(range(count, 0, -1))
    assert len(stub.searches) == max(1, -(-count // 999))


def test_no_more_than_are_wanted_and_what_has_come_is_kept(tmp_path: Path) -> None:
    wanted = Wanted("o/r", synthetic.stamp(synthetic.BEGIN_S), limit=5)
    stub = Stub(300)
    assert ids(stub, wanted, tmp_path) == [300, 299, 298, 297, 296]
    assert stub.jobs == 5
    assert ids(stub, wanted, tmp_path) == [300, 299, 298, 297, 296] and stub.jobs == 5
    broken = next((tmp_path / "cache" / "recorded" / "github").rglob("*.json"))
    broken.write_text("{")
    ids(stub, wanted, tmp_path)
    assert stub.jobs == 6, "what is kept and cannot be read is asked for again"


@pytest.mark.parametrize("id", [{"a": 1}, {}, [], "7", None])
def test_a_run_whose_number_is_none(id: Any, tmp_path: Path) -> None:
    class Odd(Stub):
        def pages(self, path: str, **query: Any) -> Iterator[Any]:
            yield {"workflow_runs": [{"id": id}]}

    with pytest.raises(SurroundingsError, match="a run without a number"):
        ids(Odd(0), Wanted("o/r", "2026-01-01"), tmp_path)
