"""The map from left to right: as designed, never too wide, every name once, every line joined to something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.report import golden
from tests.report.maps import RELEASE, hostile_pipeline, pipeline, stage

from stagebook.model.pipeline import Pipeline
from stagebook.report import sideways
from stagebook.report.harmless import cells
from stagebook.report.map import document
from stagebook.report.sideways import ROWS_MAX, draw
from stagebook.report.style import Style

WIDE = Style(width=400)
#: Ways out of a character, as up, down, left, right.
WAYS = {
    "─": "lr", "━": "lr", "╌": "lr", "╍": "lr", "│": "ud", "┃": "ud", "┌": "dr", "┏": "dr", "┐": "dl", "┓": "dl",
    "└": "ur", "┗": "ur", "┘": "ul", "┛": "ul", "├": "udr", "┣": "udr", "┤": "udl", "┫": "udl", "┬": "dlr", "┳": "dlr",
    "┴": "ulr", "┻": "ulr", "┼": "udlr", "╋": "udlr",
}  # fmt: skip
SMALL = pipeline(
    stage("checkout", 9),
    stage("lint", 38, "checkout"),
    stage("unit[python=3.11]", 122, "checkout"),
    stage("unit[python=3.13]", 131, "checkout"),
    stage("build", 107, "checkout"),
    stage("package", 23, "unit[python=3.11]", "unit[python=3.13]"),
    stage("image", 58, "build"),
    stage("deploy", 48, "package", "image", "lint"),
)


def test_it_looks_as_designed() -> None:
    golden.check("map-sideways", draw(document(SMALL), Style(width=120)))
    golden.check("map-sideways-release", draw(document(RELEASE), WIDE))


def test_in_ascii_it_has_only_ascii() -> None:
    lines = draw(document(SMALL), Style(width=120, ascii=True))
    assert lines
    assert all(line.isascii() for line in lines)


def test_what_does_not_fit_is_not_drawn() -> None:
    assert draw(document(SMALL), Style(width=60)) == []
    many = [stage(f"s{number}", 1) for number in range(ROWS_MAX + 1)]
    assert draw(document(pipeline(*many)), WIDE) == []
    assert draw(document(pipeline()), WIDE) == []
    assert draw(document(hostile_pipeline()), WIDE) == []


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    count = draw(st.integers(1, 9))
    return pipeline(
        *(
            stage(
                f"n{at}",
                1,
                *(f"n{need}" for need in sorted(draw(st.sets(st.integers(0, at - 1), max_size=3)) if at else ())),
            )
            for at in range(count)
        )
    )


@given(pipelines())
def test_every_name_is_there_and_every_line_goes_on(made: Pipeline) -> None:
    lines = draw(document(made), WIDE)
    if not lines:
        return
    rows = lines[: lines.index("")]
    assert all(cells(line) < WIDE.width for line in lines)
    for one in made.stages:
        assert sum(f" {one.id} " in f" {row} " for row in rows) == 1
    at = {(row, column): ch for row, line in enumerate(rows) for column, ch in enumerate(line)}
    back = {"u": (-1, 0, "d"), "d": (1, 0, "u"), "l": (0, -1, "r"), "r": (0, 1, "l")}
    for (row, column), ch in at.items():
        for way in WAYS.get(ch, ""):
            down, right, opposite = back[way]
            other = at.get((row + down, column + right), "")
            is_name = way in "lr" and other == " " and at.get((row, column + 2 * right), " ") not in WAYS
            assert is_name or opposite in WAYS.get(other, ""), "\n".join(rows)


def read(rows: list[str], names: list[str]) -> set[tuple[str, str]]:
    """Which name leads to which, by following lines to the right and up and down wherever they let go."""
    at = {(row, column): ch for row, line in enumerate(rows) for column, ch in enumerate(line)}
    place = {
        name: (row, f" {line} ".find(f" {name} "))
        for row, line in enumerate(rows)
        for name in names
        if f" {name} " in f" {line} "
    }
    begins = {where: name for name, where in place.items()}
    found = set()
    for name, (row, column) in place.items():
        end = rows[row].index(" 1 s", column) + 4
        todo, seen = [(row, end + 1, "r")], set()
        while todo:
            y, x, way = todo.pop()
            if (y, x, way) in seen:
                continue
            seen.add((y, x, way))
            ch = at.get((y, x), " ")
            if ch not in WAYS:
                if (y, x + 1) in begins and way == "r":
                    found.add((name, begins[y, x + 1]))
                continue
            ways = WAYS[ch]
            steps = {"r": "rud", "u": "ur", "d": "dr"}[way]
            for step in steps:
                if step in ways:
                    dy, dx = {"r": (0, 1), "u": (-1, 0), "d": (1, 0)}[step]
                    todo.append((y + dy, x + dx, step))
    return found


@given(pipelines())
def test_every_need_can_be_followed(made: Pipeline) -> None:
    lines = draw(document(made), WIDE)
    if lines:
        rows = lines[: lines.index("")]
        needs = {(need, one.id) for one in made.stages for need in one.needs}
        assert needs <= read(rows, [one.id for one in made.stages])


@given(pipelines())
def test_who_needs_nothing_has_no_line_before_it(made: Pipeline) -> None:
    for row in draw(document(made), WIDE):
        for one in made.stages:
            begin = f" {row}".find(f" {one.id} ")
            if begin > 2 and not one.needs and f" {one.id} " in f" {row} ":
                assert row[begin - 2] not in WAYS


@given(pipelines())
def test_no_two_lines_that_have_nothing_in_common_share_a_stretch(made: Pipeline) -> None:
    """Or one would seem to lead where the other does."""
    there: dict[tuple[int, int], list[tuple[int, sideways._Link]]] = {}

    class Canvas(sideways._Canvas):
        def _put(self, row: int, column: int, ways: int, link: sideways._Link) -> None:
            there.setdefault((row, column), []).append((ways, link))
            super()._put(row, column, ways, link)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sideways, "_Canvas", Canvas)
        if not draw(document(made), WIDE):
            return
    for put in there.values():
        for along in (sideways._LEFT | sideways._RIGHT, sideways._UP | sideways._DOWN):
            links = [link for ways, link in put if ways & along]
            assert all(one.start == other.start or one.end == other.end for one in links for other in links)
