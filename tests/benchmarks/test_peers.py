"""Every tool that is compared gets the same work: each stage once, a chain one at a time, else two at once."""

from __future__ import annotations

from typing import Callable, Iterator

import peers
import pytest
import stages
from measured import Bench, Case, Failed
from peers import Tool

TOOLS: dict[str, Callable[[Bench], Tool]] = {
    "stagebook": lambda bench: peers.stagebook("auto", "wait4"),
    "stagebook, shell": lambda bench: peers.stagebook("always", "auto"),
    "floor": peers.floor,
    "ninja": peers.ninja,
    "make": peers.make,
    "doit": peers.doit,
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(str(tmp_path_factory.mktemp("bench"))) as made:
        yield made


@pytest.mark.parametrize("shape", ["chain", "wide", "layered"])
def test_a_graph_has_as_many_stages_as_asked_for_and_needs_point_back(shape: str) -> None:
    for count in (1, 2, 7, 20, 200, 1001):
        needs = peers.graph(shape, count)
        assert len(needs) == count
        assert all(need < index for index, each in enumerate(needs) for need in each)


def test_layers_are_ten_blocks_joined_by_one_stage_each() -> None:
    needs = peers.graph("layered", 100)
    joins = [index for index, each in enumerate(needs) if len(each) > 1]
    assert joins == [9, 19, 29, 39, 49, 59, 69, 79, 89, 99]
    assert needs[10] == [9] and needs[19] == list(range(10, 19))


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("shape", ["chain", "layered"])
def test_each_tool_starts_each_stage_once_and_no_more_at_once_than_it_may(name: str, shape: str, bench: Bench) -> None:
    tool = TOOLS[name](bench)
    if tool.missing is not None and name in ("ninja", "doit"):
        return  # peers of `make bench`, which `make setup` does not install
    assert tool.missing is None
    needs = peers.graph(shape, 20)
    folder = bench.place(name.replace(", ", "-"), shape)
    running = folder / "running"
    program = folder / "program"
    program.write_text(
        f"#!/bin/sh\nmkdir {running}.$$\nls -d {running}.* | wc -l >> {folder}/widths\nrmdir {running}.$$\n"
    )
    program.chmod(0o755)
    laid = tool.lay(folder, needs, 2, str(program))
    bench.run(Case(laid.argv, folder, laid.env))
    widths = [int(line) for line in (folder / "widths").read_text().split()]
    assert len(widths) == 20
    assert max(widths) <= (1 if shape == "chain" else 2)


def test_a_tool_that_leaves_out_a_stage_is_found_out(bench: Bench) -> None:
    whole = peers.make(bench)
    lazy = Tool(lambda folder, needs, jobs, program: whole.lay(folder, needs[:-1], jobs, program))
    from section import Section
    from table import Goals

    section = Section(bench, Goals(), 1, True, {})
    with pytest.raises(Failed, match="19 starts of 20"):
        stages._count_starts(section, lazy, bench.place("lazy"), peers.graph("wide", 20))


def test_a_process_that_fails_is_no_figure(bench: Bench) -> None:
    folder = bench.place("fails")
    with pytest.raises(Failed, match="exit 3 where 0 was expected"):
        bench.run(Case(["/bin/sh", "-c", "echo why; exit 3"], folder))
    notes: list[str] = []
    costs = bench.rounds({"good": Case(["true"], folder), "bad": Case(["false"], folder)}, 2, notes)
    assert list(costs) == ["good"] and len(costs["good"]) == 2
    assert len(notes) == 1 and notes[0].startswith("bad:")


def test_cost_counts_children_and_is_not_our_own_memory(bench: Bench) -> None:
    folder = bench.place("cost")
    small = bench.run(Case(["/bin/true"], folder))
    assert small.peak_kib is not None and small.peak_kib < 8 * 1024
    busy = bench.run(Case(["/bin/sh", "-c", "i=0; (while [ $i -lt 100000 ]; do i=$((i+1)); done); exit 0"], folder))
    assert busy.cpu_s > 0.01
