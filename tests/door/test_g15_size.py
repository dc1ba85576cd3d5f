"""G15: size. Ten thousand stages side by side, five thousand in a chain, two hundred thousand edges.

Files of that size are judged for every commit; fewer stages are run, and all of them at night.
"""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.door import waiting
from tests.door.memory import measured
from tests.door.place import Place

MB = 10**6


@pytest.fixture
def noter(place: Place) -> str:
    """The path of a program, started directly, that appends its stage's name to the ledger."""
    path = place.base / "noter"
    path.write_text('#!/bin/sh\necho "$STAGEBOOK_STAGE 1 $$ begin" >> "$LEDGER"\n')
    path.chmod(0o755)
    return str(path)


def judge(place: Place) -> None:
    """The file is judged in under 5 s of CPU and 500 MB."""
    done = measured([place.command, "lint"], place.folder, place.env, place.base)
    assert done.code == 0, done
    assert done.cpu_s < 5
    assert done.peak_bytes < 500 * MB


def run(place: Place, *words: str) -> dict[str, Any]:
    done = measured([place.command, "run", "--json", *words], place.folder, place.env, place.base, within_s=280)
    assert done.code == 0, done.err[-2000:]
    assert done.peak_bytes < 500 * MB, done.peak_bytes
    document: dict[str, Any] = json.loads(done.out)
    return document


NIGHTLY = pytest.mark.nightly


@pytest.mark.parametrize("count", [2_500, pytest.param(10_000, marks=NIGHTLY)])
def test_g15_ten_thousand_stages_side_by_side(place: Place, count: int) -> None:
    place.pipeline({"first": "true", **{f"s{i}": {"run": "true", "needs": "first"} for i in range(count - 2)},
                    "last": {"run": "true", "needs": [f"s{i}" for i in range(count - 2)]}})  # fmt: skip
    judge(place)
    document = run(place, "-j", "4", "--quiet")
    assert document["outcome"] == "success"
    assert len(document["stages"]) == count
    started = [record["stage"] for record in place.events("stage.started")]
    assert (started[0], started[-1]) == ("first", "last")
    assert sorted(started) == sorted({"first", "last"} | {f"s{i}" for i in range(count - 2)})


@pytest.mark.parametrize("count", [2_000, pytest.param(5_000, marks=NIGHTLY)])
def test_g15_a_chain_of_five_thousand_runs_in_order_without_recursion(place: Place, noter: str, count: int) -> None:
    # Named so that neither file order nor name order is the order of the chain.
    names = [f"s{i * 7919 % count}" for i in range(count)]
    needs = {later: earlier for earlier, later in pairwise(names)}
    place.pipeline(
        {name: {"cmd": [noter], **({"needs": needs[name]} if name in needs else {})} for name in sorted(names)}
    )
    judge(place)
    document = run(place)
    assert document["outcome"] == "success"
    assert place.began() == names
    assert len(document["critical_path"]) == count
    for words in (("map",), ("show", "last"), ("timeline", "last")):
        done = place.run(*words)
        assert done.code == 0, (words, done.err[-500:])


def test_g15_files_of_that_size_are_judged_soon(place: Place) -> None:
    names = [f"s{i * 7919 % 5000}" for i in range(5000)]
    place.pipeline({later: {"run": "true", "needs": earlier} for earlier, later in pairwise(names)} | {"s0": "true"})
    judge(place)
    assert json.loads(place.run("map", "--json").out)["depth"] == 5000
    place.pipeline({"first": "true", **{f"s{i}": {"run": "true", "needs": "first"} for i in range(9_998)},
                    "last": {"run": "true", "needs": [f"s{i}" for i in range(9_998)]}})  # fmt: skip
    judge(place)


def test_g15_two_hundred_thousand_edges(place: Place) -> None:
    layers = [[f"l{layer}-{i}" for i in range(200)] for layer in range(6)]
    stages: dict[str, Any] = dict.fromkeys(layers[0], "true")
    for before, layer in pairwise(layers):
        stages.update({name: {"run": "true", "needs": before} for name in layer})
    place.pipeline(stages)
    judge(place)
    shown = json.loads(place.run("map", "--json").out)
    assert len(shown["edges"]) == 200_000
    assert (shown["width"], shown["depth"]) == (200, 6)
    document = run(place, "-j", "4")
    assert document["outcome"] == "success"
    order = [record["stage"] for record in place.events("stage.started")]
    layer_of = [int(name[1 : name.index("-")]) for name in order]
    assert layer_of == sorted(layer_of)


def test_g15_a_cycle_through_five_thousand_stages_is_printed_and_refused(place: Place) -> None:
    names = [f"s{i}" for i in range(5000)]
    place.pipeline({name: {"run": "true", "needs": names[i - 1]} for i, name in enumerate(names)})
    done = place.run("lint")
    assert done.code == 2
    assert "s0 → s1 → " in done.err or "→ s0" in done.err
    assert "Traceback" not in done.err


def test_g15_a_killed_run_of_ten_thousand_resumes(place: Place, noter: str) -> None:
    place.pipeline({f"s{i}": {"cmd": [noter]} for i in range(10_000)})
    command = place.start("run", "--quiet", "-j", "2")
    waiting.until(lambda: place.ledger_path.stat().st_size > 8_000, "some hundred stages")
    command.kill()
    recorded = {record["stage"] for record in place.events("stage.ended")}
    begun = len(place.began())
    command = place.start("run", "--quiet", "--resume")
    waiting.until(lambda: len(place.began()) > begun + 200, "the resume to go on")
    command.send(2)
    assert command.wait().code == 130
    assert not recorded & set(place.began()[begun:])
    assert os.path.getsize(Path(place.journal_path())) > 0
