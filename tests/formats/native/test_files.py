"""Inputs and outputs: paths from the pipeline's folder on, and what needs whom because of them."""

from __future__ import annotations

import json

import pytest
from tests.formats.native.reading import needs, read, refused, stage

from stagebook.formats.native.read import parse
from stagebook.model.pipeline import Output
from stagebook.model.plain import from_plain, to_plain
from stagebook.model.problem import Problem


def test_text_is_a_list_of_one_and_an_output_may_be_ready_early() -> None:
    made = stage("stages: {a: {run: x, inputs: src/*, outputs: [b, {path: c, ready: early}, {path: d, ready: end}]}}")
    assert made.inputs == ("src/*",)
    assert made.outputs == (Output("b"), Output("c", True), Output("d"))
    assert stage("stages: {a: {run: x, outputs: b}}").outputs == (Output("b"),)
    assert stage("stages: {a: {run: x, inputs: [], outputs: []}}").inputs == ()


@pytest.mark.parametrize(
    ("folder", "written", "path"),
    [
        ("work", "src/*.c", "work/src/*.c"),
        ("./work//sub/", "./a//b", "work/sub/a/b"),
        ("work", "../lib/", "lib/"),
        ("work/sub", "../**", "work/**"),
        ("../project/work", "x", None),
        ("/work/project/part", "x", "part/x"),
        ("/work/project", "x", "x"),
        ("/work/project/part/..", "x", "x"),
        ("/work/projects", "x", None),
        ("/work", "project/x", None),
        ("w?rk", "x", None),
    ],
)
def test_paths_begin_at_the_stages_folder(folder: str, written: str, path: str | None) -> None:
    text = json.dumps({"stages": {"a": {"run": "x", "dir": folder, "inputs": [written], "outputs": [written]}}})
    if path is None:
        assert {each.code for each in refused_at(text)} == {"glob"}
    else:
        made = stage(text)
        assert (made.inputs, made.outputs) == ((path,), (Output(path),))


def refused_at(text: str) -> tuple[Problem, ...]:
    pipeline, problems = parse(text.encode(), "/work/project/stagebook.yaml")
    assert pipeline is None
    return problems


def test_the_folder_may_come_from_defaults() -> None:
    assert stage("defaults: {dir: work}\nstages: {a: {run: x, inputs: y}}").inputs == ("work/y",)


def test_needs_that_follow_come_after_those_that_are_declared_and_have_the_line_of_the_input() -> None:
    made = stage(
        "stages:\n  a: {run: x, outputs: a.txt}\n  b: {run: x, outputs: 'b/*'}\n  c: x\n"
        "  d:\n    run: x\n    inputs:\n      - b/one\n      - a.txt\n    needs: [c, a]\n"
    )
    assert (made.needs, made.need_lines) == (("c", "a", "b"), (10, 10, 8))
    assert made.via == {"b": "b/one", "a": "a.txt"}
    assert (made.declared, made.early) == (("a",), ())


def test_a_place_in_a_list_says_so_too() -> None:
    text = "stages:\n  - a: {run: x, outputs: [{path: a, ready: early}]}\n  - b: {run: x, inputs: a}\n"
    text += "  - c: {run: x, inputs: a}\n  - d: {run: x, inputs: a, needs: []}\n"
    made = {each.id: each for each in read(text).stages}
    assert needs(text) == {"a": [], "b": ["a"], "c": ["b", "a"], "d": ["a"]}
    assert (made["b"].declared, made["b"].early) == (("a",), ())
    assert (made["c"].declared, made["c"].early) == ((), ("a",))
    assert made["d"].early == ("a",)


def test_a_condition_over_stages_waits_for_their_ends() -> None:
    build = "build: {run: x, outputs: [{path: a, ready: early}]}"
    for when, early in (("branch == 'main'", ("build",)), ("stages.build.outcome == 'success'", ())):
        made = stage(f'stages: {{{build}, b: {{run: x, inputs: a, when: "{when}"}}}}')
        assert made.early == early


def test_early_only_where_all_that_is_read_is_early() -> None:
    build = "build: {run: x, outputs: [{path: d/a, ready: early}, d/b, {path: d/c, ready: early}]}"
    for inputs, early in (("d/a", ("build",)), ("[d/a, d/c]", ("build",)), ("d/*", ()), ("[d/a, d/b]", ())):
        assert stage(f"stages: {{{build}, b: {{run: x, inputs: {inputs}}}}}").early == early


def test_all_cells_of_a_maker_are_needed_and_all_of_a_reader_need() -> None:
    text = (
        "stages:\n  make: {run: x, matrix: {p: [1, 2]}, outputs: 'out-$MATRIX_P'}\n"
        "  read: {run: x, matrix: {q: [a, b]}, inputs: 'out-*', needs: ['make[p=2]']}\n"
    )
    made = stage(text)
    assert needs(text)["read[q=a]"] == needs(text)["read[q=b]"] == ["make[p=2]", "make[p=1]"]
    assert made.via == {"make[p=1]": "out-1", "make[p=2]": "out-2"}
    assert made.declared == ("make[p=2]",)


def test_a_variable_of_the_matrix_stands_for_the_value_of_the_cell() -> None:
    text = (
        "stages:\n  make: {run: x, matrix: {os: [a, 'b*?[']}, outputs: ['o/$MATRIX_OS.*', '${MATRIX_OS}x']}\n"
        "  read: {run: x, matrix: {os: [a, b]}, inputs: ['o/$MATRIX_OS.xml', src]}\n"
        "  one: {run: x, inputs: ax, needs: read}\n  plain: {run: x, inputs: $MATRIX_OS}\n"
    )
    made = {each.id: each for each in read(text).stages}
    assert made["make[os=a]"].outputs == (Output("o/a.*"), Output("ax"))
    assert made["make[os=b*?%5B]"].outputs == (Output("o/b[*][?][[].*"), Output("b[*][?][[]x"))
    assert made["read[os=b]"].inputs == ("o/b.xml", "src")
    assert made["read[os=a]"].via == {"make[os=a]": "o/a.xml"}
    assert needs(text)["read[os=a]"] == ["make[os=a]"]
    assert needs(text)["read[os=b]"] == []
    assert needs(text)["one"] == ["read[os=a]", "read[os=b]", "make[os=a]"]
    assert made["plain"].inputs == ("$MATRIX_OS",)


@pytest.mark.parametrize(
    ("matrix", "output", "message"),
    [
        ("os: [a, b/c]", "$MATRIX_OS", "$MATRIX_OS is 'b/c' in cell [os=b/c]"),
        ("os: [a, '..']", "x$MATRIX_OS", "$MATRIX_OS is '..' in cell [os=..]"),
        ("os: [a, '']", "d/$MATRIX_OS", "'$MATRIX_OS' is '' in cell [os=]"),
        ("os: [a, .git]", "$MATRIX_OS/x", "leads into `.git`"),
        ("os: [a, b]", "$MATRIX_SO", "unknown variable '$MATRIX_SO', did you mean '$MATRIX_OS'?"),
        ("os: [a, b]", "$MATRIX_OS_x", "did you mean '${MATRIX_OS}_x'?"),
        ("os: [a], include: [{os: a, v: 1}, {os: b}]", "$MATRIX_V", "$MATRIX_V is not set in cell [os=b]"),
        ("os: [a, b]", "r-*", "both `m[os=a]` and `m[os=b]`; write $MATRIX_OS into it"),
        ("os: [a, b], py-v: [1, 2]", "r-$MATRIX_OS", "both `m[os=a,py-v=1]` and `m[os=a,py-v=2]`; write $MATRIX_PY_V"),
    ],
)
def test_a_path_that_a_cell_cannot_have_is_refused_at_its_place(matrix: str, output: str, message: str) -> None:
    (problem,) = refused(f"stages:\n  m:\n    run: x\n    matrix: {{{matrix}}}\n    outputs: ['{output}']\n")
    assert message in problem.message
    assert (problem.line, problem.col) == (5, 15)


def test_its_own_output_makes_no_stage_need_itself() -> None:
    text = "stages: {a: {run: x, inputs: 'c/*', outputs: 'c/*.bin'}, b: {run: x, outputs: c/x}}"
    assert needs(text) == {"a": ["b"], "b": []}


def test_one_cell_may_have_a_plain_path() -> None:
    assert read("stages: {a: {run: x, matrix: {p: [1]}, outputs: [r.xml]}}").stages[0].outputs == (Output("r.xml"),)


def test_all_of_it_survives_the_cache() -> None:
    pipeline = read(
        "stages:\n  a: {run: x, outputs: [{path: a, ready: early}, b]}\n  b: {run: x, inputs: a}\n"
        "  c: {run: x, inputs: [a, b], needs: a}\n"
    )
    assert from_plain(json.loads(json.dumps(to_plain(pipeline)))) == pipeline
    assert [each.early for each in pipeline.stages] == [(), ("a",), ()]
    assert [each.declared for each in pipeline.stages] == [(), (), ("a",)]


def test_too_many_needs_through_files_are_refused() -> None:
    lines = [f"  m{at}: {{run: x, outputs: out/{at}}}\n" for at in range(1200)]
    lines += [f"  r{at}: {{run: x, inputs: 'out/*'}}\n" for at in range(1200)]
    problems = refused("stages:\n" + "".join(lines))
    assert [(each.code, each.line) for each in problems] == [("limit", 2)]
    assert "more than 1000000 needs" in problems[0].message
    cells = "  m: {run: x, matrix: {p: [" + ", ".join(map(str, range(1200))) + "]}, outputs: 'out/$MATRIX_P'}\n"
    cells += "  r: {run: x, matrix: {p: [" + ", ".join(map(str, range(1200))) + "]}, inputs: 'out/*'}\n"
    assert [(each.code, each.line) for each in refused("stages:\n" + cells)] == [("limit", 3)]
