"""The benchmark of hashing: what it makes is what it says, and every hasher that is here is timed on it."""

from __future__ import annotations

from pathlib import Path

import hashing
from measured import Bench
from section import Section
from table import Goals


def test_it_makes_files_that_differ_and_times_whoever_is_here(tmp_path: Path) -> None:
    with Bench(str(tmp_path)) as bench:
        section = Section(bench, Goals(), 2, True, {})
        folder = bench.place("hashing")
        paths = hashing._make(folder, hashing.Kind("some", 120, 100))
        assert len({(folder / path).read_bytes() for path in paths}) == 120
        assert {(folder / path).stat().st_size for path in paths} == {100}
        tools = {"sha256sum": hashing.TOOLS["sha256sum"]}
        seconds = hashing._rounds(section, folder, paths, tools)
        assert {name: len(each) for name, each in seconds.items()} == {"ours": 2, "sha256sum": 2}
        assert min(min(each) for each in seconds.values()) > 0


def test_a_null_build_is_measured_and_judged(tmp_path: Path) -> None:
    with Bench(str(tmp_path)) as bench:
        section = Section(bench, Goals(), 2, True, {})
        hashing._null(section)
        assert len(section.raw["null build"]) == 5
        (goal,) = section.goals.judged
        assert goal["median"] > 0
