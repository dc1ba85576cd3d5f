"""G13: the file is judged before anything runs: every mistake at once, each with `FILE:LINE:COL`, and exit 2."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from tests.door.place import Place

MESSAGE = re.compile(r"^(\S+?):(\d+):(\d+): error: (.*)$", re.MULTILINE)


class Mistake(NamedTuple):
    """`where` are the places (line, column) of the errors, `said` words that must stand in what is said."""

    text: str
    where: tuple[tuple[int, int], ...]
    said: tuple[str, ...]


RAN = "touch ran"

MISTAKES = {
    "unknown-key": Mistake(
        f"stages:\n  a:\n    run: {RAN}\n    need: b\n  b: {RAN}\n", ((4, 5),), ("unknown key", "need", "needs")
    ),
    "unknown-top-key": Mistake(f"stagse:\n  a: {RAN}\n", ((1, 1), (1, 1)), ("stagse", "stages")),
    "unknown-need": Mistake(
        f"stages:\n  build: {RAN}\n  test: {{run: {RAN}, needs: biuld}}\n", ((3, 33),), ("biuld", "build")
    ),
    "unknown-need-in-a-list": Mistake(
        f"stages:\n  build: {RAN}\n  test:\n    run: {RAN}\n    needs:\n      - build\n      - tset\n",
        ((7, 9),), ("tset",),
    ),
    "cycle": Mistake(
        f"stages:\n  a: {{run: {RAN}, needs: c}}\n  b: {{run: {RAN}, needs: a}}\n  c: {{run: {RAN}, needs: b}}\n",
        (), ("a → b → c → a",),
    ),
    "needs-itself": Mistake(f"stages:\n  a: {{run: {RAN}, needs: a}}\n", (), ("a → a",)),
    "duplicate-stage": Mistake(f"stages:\n  a: {RAN}\n  b: {RAN}\n  a: {RAN}\n", ((4, 3),), ("a",)),
    "duplicate-key": Mistake(f"stages:\n  a:\n    run: {RAN}\n    run: {RAN}\n", ((4, 5),), ("run",)),
    "duplicate-in-a-group": Mistake(
        f"stages:\n  - a: {RAN}\n  - parallel:\n      - b: {RAN}\n      - a: {RAN}\n", ((5, 9),), ("a",)
    ),
    "wrong-type": Mistake(f"stages:\n  a: {{run: {RAN}, priority: high}}\n", ((2, 33),), ("high",)),
    "number-as-boolean": Mistake(f"stages:\n  a: {{run: {RAN}, always: yes}}\n", ((2, 31),), ("yes", "true")),
    "bare-duration": Mistake(f"stages:\n  a: {{run: {RAN}, timeout: 10}}\n", ((2, 32),), ("10", "10s")),
    "bare-size": Mistake(f"stages:\n  a: {{run: {RAN}, resources: {{memory: 512}}}}\n", ((2, 43),), ("512", "MiB")),
    "more-than-a-pool-holds": Mistake(
        f"pools: {{db: 2}}\nstages:\n  a: {{run: {RAN}, resources: {{pools: {{db: 3}}}}}}\n", (), ("db", "3", "2")
    ),
    "unknown-pool": Mistake(
        f"pools: {{db: 2}}\nstages:\n  a: {{run: {RAN}, resources: {{pools: {{bd: 1}}}}}}\n", (), ("bd", "db")
    ),
    "more-cpu-than-the-limit": Mistake(
        f"limits: {{cpu: 2}}\nstages:\n  a: {{run: {RAN}, resources: {{cpu: 4}}}}\n", (), ("cpu", "4", "2")
    ),
    "no-command": Mistake("stages:\n  a: {needs: []}\n", (), ("run",)),
    "two-commands": Mistake(f"stages:\n  a: {{run: {RAN}, cmd: [touch, ran]}}\n", (), ("run", "cmd")),
    "retry-of-what-must-not-be-repeated": Mistake(
        f"stages:\n  a: {{run: {RAN}, retry-safe: false, retry: {{attempts: 2}}}}\n", (), ("retry-safe", "retry")
    ),
    "unknown-policy": Mistake(f"policy: failfast\nstages:\n  a: {RAN}\n", ((1, 9),), ("failfast", "fail-fast")),
    "newer-version": Mistake(f"version: 9\nstages:\n  a: {RAN}\n", ((1, 10),), ("9",)),
    "a-version-in-quotes": Mistake(f"version: \"1\"\nstages:\n  a: {RAN}\n", ((1, 10),), ("version 1",)),
    "no-stages": Mistake("name: nothing\n", (), ("stages",)),
    "empty-stages": Mistake("stages: {}\n", (), ("stage",)),
    "matrix-without-axes": Mistake(f"stages:\n  a: {{run: {RAN}, matrix: {{fail-fast: true}}}}\n", (), ("matrix",)),
    "expression-in-a-command": Mistake("stages:\n  a: 'echo ${{ params.x }}; touch ran'\n", ((2, 6),), ("${{",)),
    "tab": Mistake(f"stages:\n\ta: {RAN}\n", (), ("tab",)),
    "not-yaml": Mistake(f"stages:\n  a: {{run: {RAN}\n", (), ()),
    "reserved-name": Mistake(f"stages:\n  a: {{run: {RAN}, env: {{STAGEBOOK_RUN: x}}}}\n", (), ("STAGEBOOK_RUN",)),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("command", ["lint", "run"])
def test_g13_one_mistake_is_exit_2_with_its_place_and_nothing_runs(place: Place, name: str, command: str) -> None:
    mistake = MISTAKES[name]
    place.write(mistake.text)
    done = place.run(command)
    assert done.code == 2, done
    found = MESSAGE.findall(done.err)
    assert found, done.err
    assert {file for file, _, _, _ in found} == {"stagebook.yaml"}
    if mistake.where:
        assert [(int(line), int(col)) for _, line, col, _ in found] == list(mistake.where), done.err
    for words in mistake.said:
        assert words in done.err, (words, done.err)
    assert "Traceback" not in done.err
    assert not (place.folder / "ran").exists()
    assert done.out == ""


def test_g13_all_mistakes_of_a_file_are_told_in_one_go_in_order(place: Place) -> None:
    place.write(f"""\
version: 1
polcy: strict
limits: {{jobs: 0, cpu: 2}}
pools: {{db: 2}}
stages:
  build: {{run: {RAN}, need: x}}
  test:
    run: {RAN}
    needs: [biuld]
    timeout: 10
    resources: {{cpu: 4, pools: {{db: 3, bd: 1}}}}
  lint: {{run: {RAN}, cmd: [a]}}
  build: {RAN}
  a: {{run: {RAN}, needs: b}}
  b: {{run: {RAN}, needs: a}}
""")
    done = place.run("lint")
    assert done.code == 2
    found = [(int(line), int(col), text) for _, line, col, text in MESSAGE.findall(done.err)]
    assert found == sorted(found, key=lambda each: each[:2])
    lines = [line for line, _, _ in found]
    assert {2, 3, 6, 9, 10, 11, 12, 13} <= set(lines), done.err
    assert lines.count(11) >= 2, done.err
    assert "a → b → a" in done.err
    assert place.run("run").code == 2
    assert not (place.folder / "ran").exists()
    assert place.run_ids() == []


def test_g13_three_errors_in_three_places_are_three_messages(place: Place) -> None:
    """As the issue shows it."""
    place.write(
        f"stages:\n  a: {{run: {RAN}, need: b}}\n  b: {{run: {RAN}, timeout: 5}}\n  c: {{run: {RAN}, needs: d}}\n"
    )
    done = place.run("run")
    assert done.code == 2
    assert [(line, col) for _, line, col, _ in MESSAGE.findall(done.err)] == [("2", "23"), ("3", "32"), ("4", "30")]
    assert not (place.folder / "ran").exists()


def test_g13_errors_as_json_have_the_doors_keys(place: Place) -> None:
    place.write(f"stages:\n  a: {{run: {RAN}, need: b}}\n  b: {{run: {RAN}, needs: d}}\n")
    for command in ("lint", "run", "map"):
        done = place.run(command, "--json")
        assert done.code == 2
        errors = done.json["notes" if command == "lint" else "errors"]
        assert len(errors) == 2
        for error in errors:
            assert set(error) == {"file", "line", "col", "code", "level", "message"}
            assert error["level"] == "error"
            assert error["file"].endswith("stagebook.yaml")


def test_r001_a_four_line_file_is_a_sequence_of_three(place: Place) -> None:
    place.write("stages:\n  - lint: echo lint\n  - unit: echo unit\n  - pack: echo pack\n")
    done = place.run("lint")
    assert (done.code, done.out) == (0, "ok: 3 stages, 2 edges\n")


def test_r002_an_unquoted_number_that_yaml_would_change_is_kept_or_warned_of(place: Place) -> None:
    place.write("stages:\n  a: {run: 'echo $MATRIX_PYTHON', matrix: {python: [3.10, on, yes, 0x10, 1e3]}}\n")
    assert place.run("lint").code == 0
    assert place.run("run").code == 0
    stages = [stage["stage"] for stage in place.show()["stages"]]
    assert stages == [f"a[python={value}]" for value in ("3.10", "on", "yes", "0x10", "1e3")]


@pytest.mark.parametrize("key", ["isolate: {workspace: copy}", "isolate: {ports: [web]}"])
def test_what_is_not_built_yet_is_a_note_of_lint_and_map_and_refused_by_run(place: Place, key: str) -> None:
    place.write(f"stages:\n  a:\n    run: {RAN}\n    {key}\n")
    name = key.split(":")[0]
    for command in ("lint", "map"):
        done = place.run(command)
        assert done.code == 0, done
        assert name in done.said
    [note] = place.run("lint", "--json").json["notes"]
    assert (note["line"], note["col"], note["level"]) == (4, 5, "note")
    done = place.run("run")
    assert done.code == 2
    assert "stagebook.yaml:4:5" in done.err
    assert name in done.err
    assert not (place.folder / "ran").exists()


@pytest.mark.parametrize("kind", ["service: {run: x}", "pipeline: other.yaml"])
def test_kinds_that_are_not_built_yet_are_refused_by_run_with_their_place(place: Place, kind: str) -> None:
    place.write(f"stages:\n  a:\n    {kind}\n  b: {RAN}\n")
    assert place.run("lint").code == 0
    done = place.run("run")
    assert done.code == 2
    assert "stagebook.yaml:3:5" in done.err
    assert not (place.folder / "ran").exists()


@pytest.mark.parametrize("words", [
    ["frobnicate"], ["run", "--frobnicate"], ["run", "no-such.yaml"], ["run", "-j", "0"], ["run", "-j", "many"],
    ["run", "--only", "nobody"], ["run", "--param", "nothing"], ["run", "--param", "x=1"], ["show", "nothing"],
    ["show", "last"], ["run", "--resume", "0123"], ["run", "--failed-of", "last"], ["cancel", "last"],
    ["map", "a", "b"], ["run", "--policy", "none"], ["logs", "last"],
])  # fmt: skip
def test_r119_wrong_words_are_exit_2_and_start_nothing(place: Place, words: list[str]) -> None:
    place.pipeline({"a": RAN})
    done = place.run(*words)
    assert done.code == 2, done
    assert done.err.strip()
    assert "Traceback" not in done.err
    assert not (place.folder / "ran").exists()
    assert len(place.run_ids()) == 0
