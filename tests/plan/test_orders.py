"""Needs that are loosened pair by pair: what stays in order, what does not, and on whose word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.formats.native.read import parse
from stagebook.model.pipeline import Pipeline
from stagebook.plan import orders


def read(text: str, folder: Path = Path("/x")) -> Pipeline:
    pipeline, problems = parse(text.encode(), str(folder / "stagebook.yaml"))
    assert pipeline is not None, problems
    return pipeline


def closure(needs: list[list[int]]) -> set[tuple[int, int]]:
    before: list[set[int]] = []
    for own in needs:
        before.append(set(own).union(*(before[need] for need in own)))
    return {(first, second) for second, each in enumerate(before) for first in each}


@st.composite
def graphs(draw: Any) -> tuple[list[list[int]], set[tuple[int, int]]]:
    count = draw(st.integers(1, 12))
    needs = [sorted(draw(st.sets(st.integers(0, node - 1), max_size=3))) if node else [] for node in range(count)]
    pairs = sorted(closure(needs))
    return needs, draw(st.sets(st.sampled_from(pairs))) if pairs else set()


@given(graphs())
def test_all_pairs_stay_in_order_but_those_dropped(made: tuple[list[list[int]], set[tuple[int, int]]]) -> None:
    needs, dropped = made
    after = closure(orders.loosened(needs, dropped))
    assert after <= closure(needs)
    assert closure(needs) - after <= dropped
    for first, second in dropped & after:  # one that stays is led over by one that stays
        assert any((first, middle) in after and (middle, second) in after for middle in range(len(needs)))


@given(graphs())
def test_needs_that_can_stay_stay_and_none_is_added_that_is_told_already(
    made: tuple[list[list[int]], set[tuple[int, int]]],
) -> None:
    needs, dropped = made
    loosened = orders.loosened(needs, dropped)
    after = closure(loosened)
    for node, own in enumerate(loosened):
        assert [need for need in needs[node] if (need, node) in after] == own[
            : len(own) - len(set(own) - set(needs[node]))
        ]
        for new in set(own) - set(needs[node]):
            assert not any((new, other) in after for other in own if other != new)
    assert orders.loosened(needs, ()) == needs


def test_a_list_freed_in_the_middle_keeps_its_ends() -> None:
    assert orders.loosened([[], [0], [1], [2]], {(1, 2)}) == [[], [0], [0], [2, 1]]


TWO = "version: 1\nstages:\n  - first: {FIRST}\n  - second: {SECOND}\n"


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("{run: sort -o y x, inputs: [x], outputs: [y]}", "{run: sort -o v z, inputs: [z], outputs: [v]}", "declared"),
        ("{run: sort -o y x, inputs: [x], outputs: [y]}", "{run: grep a z, inputs: [z]}", "declared"),
        ("{run: a, inputs: [x], outputs: [y]}", "{run: b, inputs: [z], outputs: [v]}", "none"),
        ("{run: a 'x', inputs: [x], outputs: [y]}", "{run: b 1 > log, inputs: [z]}", "none"),
        ("{run: a, inputs: [x]}", "{run: b, inputs: [z], outputs: [v]}", "none"),
        ("{run: a}", "{run: b}", "none"),
        ("{run: a, inputs: [x], outputs: [y]}", "{run: b, inputs: [y], outputs: [v]}", None),
        ("{run: a, inputs: [x], outputs: [y]}", "{run: b, inputs: [z], outputs: [y/v]}", None),
        ("{run: a, locks: {t: shared}}", "{run: b, locks: {t: shared}}", None),
        ("{run: a db.sqlite, inputs: [x], outputs: [y]}", "{run: b ./db.sqlite, inputs: [z], outputs: [v]}", "none"),
        ("{run: a t.py, inputs: [t.py], outputs: [y]}", "{run: b t.py, inputs: [t.py], outputs: [v]}", "none"),
        ("{run: a src/t.py, inputs: [src/**], outputs: [y]}", "{run: b src/t.py, inputs: [src/**]}", "none"),
        ("{run: cat t > g/v.h, inputs: [t], outputs: [g/v.h]}", "{run: gcc s/m.c -o o, inputs: [s/*]}", "none"),
        ("{run: a $DB, inputs: [x], outputs: [y]}", "{run: b $DB, inputs: [z], outputs: [v]}", "none"),
        ("{run: a :5432, inputs: [x], outputs: [y]}", "{run: b :5432, inputs: [z], outputs: [v]}", "none"),
    ],
)  # fmt: skip
def test_independence_is_what_both_declare_and_nothing_else(first: str, second: str, said: str | None) -> None:
    pipeline = read(TWO.replace("{FIRST}", first).replace("{SECOND}", second))
    assert orders.Independence(pipeline).of(0, 1)[0] == said


@pytest.mark.parametrize(("policy", "more", "said"), [
    ("strict", "", "declared"), ("lenient", "", "none"), ("lenient", ", critical: true", "declared"),
])  # fmt: skip
def test_an_order_that_says_which_failures_count_is_not_given_up(policy: str, more: str, said: str) -> None:
    first = "{run: sort -o y x, inputs: [x], outputs: [y]}"
    second = f"{{run: sort -o v z, inputs: [z], outputs: [v]{more}}}"
    pipeline = read(f"policy: {policy}\n" + TWO.replace("{FIRST}", first).replace("{SECOND}", second))
    assert orders.Independence(pipeline).of(0, 1)[0] == said


LOADS = "import sys\nopen('two.out', 'w').write(open(sys.argv[1]).read())\n"
TAKES = '#!/bin/sh\ncat "$1" > "$2"\n'


@pytest.mark.parametrize(
    ("command", "scripts", "more"),
    [
        ("./load.py table.csv > two.out", {"load.py": "#!/usr/bin/env python3\n" + LOADS}, {}),
        ("./load.py one.in one.out table.csv", {"load.py": "#!/usr/bin/env python3\n" + LOADS}, {}),
        ("./norm.sh two.in two.out && ./norm.sh table.csv two.out", {"norm.sh": TAKES}, {}),
        ("./load.sh > two.out", {"load.sh": '#!/bin/sh\nin=${1:-table.csv}; sort "$in"\n'}, {}),
        ("F=two.in; cat ${F:+table.csv} > two.out", {}, {}),
        ("T=two.in; cat ${T%.in} > two.out", {}, {}),
        ("cat ${TABLE:-table.csv} > two.out", {}, {"env": {"TABLE": ""}}),
        ("echo *.csv > two.out", {}, {}),
        ("printf '%s\\n' *.csv > two.out", {}, {}),
        ('for f in *; do echo "$f"; done > two.out', {}, {}),
        ("cat $FILES > two.out", {}, {"env": {"FILES": "table.csv two.in"}}),
        ("python3 b.py > two.out", {"b.py": "import lib.tables\n", "lib/__init__.py": "open('table.csv')\n",
                                    "lib/tables.py": "x = 1\n"}, {}),
        ("python3 b.py table > two.out", {"b.py": LOADS}, {}),
        ("python3 b.py > two.out", {"b.py": "import argparse\np = argparse.ArgumentParser()\n"
                                    "p.add_argument('f', type=argparse.FileType(), nargs='?', default='table')\n"}, {}),
        ("python3 b.py > two.out", {"b.py": "argv = ['', 'table.' + 'csv']\nopen(argv[1])\n"}, {}),
    ],
)  # fmt: skip
def test_what_may_read_by_another_name_what_an_earlier_one_makes_is_not_declared(
    tmp_path: Path, command: str, scripts: dict[str, str], more: dict[str, Any]
) -> None:
    for name, text in {"one.in": "", "two.in": "", **scripts}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    made = "table" if "table" in command.split() or "'table'" in str(scripts) else "table.csv"
    first = {"run": f"sort one.in > {made}", "inputs": ["one.in"], "outputs": [made]}
    second = {"run": command, "inputs": ["two.in", "*.in", *scripts], "outputs": ["two.out"], **more}
    text = f"stages:\n- table: {json.dumps(first)}\n- load: {json.dumps(second)}\n"
    judged = orders.Independence(read(text, tmp_path)).of(0, 1)
    assert judged[0] == "none", judged
    harmless = {**second, "run": "sort two.in > two.out", "env": {}}
    text = f"stages:\n- table: {json.dumps(first)}\n- load: {json.dumps(harmless)}\n"
    assert orders.Independence(read(text, tmp_path)).of(0, 1)[0] == "declared"
