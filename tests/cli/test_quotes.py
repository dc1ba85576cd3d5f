"""What of logs goes into a page: the end of what failed, both ends of the rest, never more than there is room for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.report import documents

from stagebook.cli import quotes


def run(*logs: tuple[str, Path | None, str]) -> dict[str, Any]:
    """Stages by name, log and outcome."""
    return documents.run(
        [
            documents.stage(name, documents.attempt(0, 1, outcome=outcome, log=path and str(path)))
            for name, path, outcome in logs
        ],
        1.0,
    )


def lines(some: Any) -> list[tuple[int, bytes]]:
    return list(some)


def test_what_failed_is_quoted_from_its_end_and_the_rest_from_both(tmp_path: Path) -> None:
    long, short = tmp_path / "long", tmp_path / "short"
    long.write_bytes(b"".join(b"line %d\n" % number for number in range(1, 101)))
    short.write_bytes(b"one\ntwo")
    found = quotes.quotes(run(("a", long, "success"), ("b", long, "failure"), ("c", short, "success")))
    assert lines(found["b", 1].last) == [(number, b"line %d" % number) for number in range(61, 101)]
    assert [number for number, _ in found["a", 1].first] == [1, 2, 3]
    assert [number for number, _ in found["a", 1].last] == [96, 97, 98, 99, 100]
    assert lines(found["c", 1].first) == [(1, b"one"), (2, b"two")]
    assert found["c", 1].size == 7


def test_of_a_large_log_only_its_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.write(b"first\nsecond\nthird\nfourth\n")
        file.truncate(1 << 32)  # a hole, which would take long to read
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast\n")
    log = quotes.quotes(run(("a", path, "success")))["a", 1]
    assert [text for _, text in log.first] == [b"first", b"second", b"third"]
    assert (log.last[-1], log.size) == ((0, b"last"), (1 << 32) + 6)


def test_what_is_no_log_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    some = [(name, tmp_path / name, outcome) for name in ("fifo", "folder", "gone") for outcome in ("success",)]
    assert quotes.quotes(run(*some, ("none", None, "success"))) == {}
    failed = quotes.quotes(run(*[(name, path, "failure") for name, path, _ in some]))
    assert all(lines(log.last) == [] for log in failed.values())


def test_all_together_keep_within_a_budget_and_failures_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotes, "BUDGET", 4000)
    monkeypatch.setattr(quotes, "_BUDGET_FAILED", 2000)
    path = tmp_path / "log"
    path.write_bytes(b"x" * 900 + b"\n")
    quiet, failed = [(f"ok{n}", path, "success") for n in range(9)], [(f"bad{n}", path, "error") for n in range(9)]
    found = quotes.quotes(run(*quiet, *failed))
    assert [name for name, _ in found] == ["bad0", "bad1", "bad2", "ok0", "ok1"]
