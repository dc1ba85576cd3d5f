"""Problems with their place, the user's own line, and a caret under the word."""

from __future__ import annotations

from tests.report import golden

from stagebook.model.problem import Problem
from stagebook.report.harmless import cells
from stagebook.report.problems import document, folded, render, tally
from stagebook.report.style import Style

LINES = {
    7: "    need: build\n",
    12: "      python: [3.10, 3.13]\n",
    15: "    'quoted key': x\n",
    20: "  größe漢字: ]\x1b[2J\n",
    30: "  package: {needs: sign}\n",
}
FOUND = [
    Problem("stagebook.yaml", 7, 5, "unknown-key", "error", "unknown key 'need', did you mean 'needs'?"),
    Problem("stagebook.yaml", 12, 16, "read-as-number", "warning", "python: 3.10 is read as 3.1; quote it"),
    Problem("stagebook.yaml", 15, 5, "unknown-key", "error", "unknown key 'quoted key'"),
    Problem("stagebook.yaml", 20, 12, "syntax", "error", "unexpected ']'"),
    Problem("stagebook.yaml", 30, 3, "cycle", "error", "cycle: package → image → sign → package"),
    Problem("stagebook.yaml", 0, 0, "limit", "note", "the file as a whole"),
    Problem("", 0, 0, "usage", "error", "unknown option '--jsn'"),
]


def source(file: str, line: int) -> str | None:
    return LINES.get(line)


def test_problems_look_as_designed() -> None:
    golden.check("problems", render(FOUND, Style(), source))


def test_in_ascii_and_in_colour() -> None:
    lines = render(FOUND, Style(ascii=True), source)
    golden.check("problems-ascii", lines)
    assert all(line.isascii() for line in lines)
    golden.check("problems-color", render(FOUND, Style(color=True), source))


def test_a_hostile_line_is_shown_and_does_nothing() -> None:
    lines = render([FOUND[3]], Style(), source)
    assert "\\x1b[2J" in lines[1]
    assert lines[2].index("^") - lines[2].index("│") == cells("│   größe漢字: ") - 0


def test_a_source_line_that_is_gone_or_endless_is_left_out() -> None:
    assert len(render([FOUND[0]], Style(), lambda *_: None)) == 1
    assert len(render([FOUND[0]], Style(), lambda *_: "x" * 5000)) == 1
    assert len(render([FOUND[0]], Style(), None)) == 1


def test_the_tally_counts_by_level() -> None:
    assert tally(FOUND) == "5 errors, 1 warning, 1 note"
    assert tally(FOUND[:1]) == "1 error"
    assert tally([]) == ""


def test_as_json_a_place_that_is_not_there_is_null() -> None:
    assert document([FOUND[0], FOUND[6]]) == [
        {
            "file": "stagebook.yaml",
            "line": 7,
            "col": 5,
            "code": "unknown-key",
            "level": "error",
            "message": "unknown key 'need', did you mean 'needs'?",
        },
        {
            "file": None,
            "line": None,
            "col": None,
            "code": "usage",
            "level": "error",
            "message": "unknown option '--jsn'",
        },
    ]


def test_notes_that_say_one_thing_of_many_names_are_folded() -> None:
    by_hand = [Problem("ci.yml", line, 1, "manual", "note", f"j{line} is started by hand") for line in range(1, 9)]
    no_script = [Problem("ci.yml", line, 1, "job", "note", f"job a b{line} has no script") for line in range(3)]
    others = [
        Problem("ci.yml", 9, 1, "job", "warning", "job c is wrong"),
        Problem("other.yml", 1, 1, "manual", "note", "d is started by hand"),
        Problem("ci.yml", 2, 1, "other", "note", "e is this"),
        Problem("ci.yml", 2, 1, "other", "note", "f is that"),
        *(Problem("ci.yml", 3, 1, "server", "note", f"k starts p{line}: that is far") for line in range(4)),
    ]
    found = folded([*others[:2], *by_hand, *no_script, *others[2:]])
    assert found == [
        *others[:2],
        Problem("ci.yml", 1, 0, "manual", "note", "each of 8 (j1, j2, j3, j4, j5, j6, …) is started by hand"),
        Problem("ci.yml", 0, 0, "job", "note", "each of 3 jobs (a b0, a b1, a b2) has no script"),
        *others[2:],
    ]
    assert folded([*by_hand[:2], *others]) == [*by_hand[:2], *others]
