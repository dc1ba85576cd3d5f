"""`stagebook lint`: all problems at once, each with its place, and exit codes as the door has them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Call

GOOD = "version: 1\nstages:\n  - a: 'true'\n  - b: 'true'\n  - c: 'true'\n"
BAD = "version: 1\nstages:\n  a:\n    run: x\n    need: b\n  b: {run: y, timeout: 5}\n  c: {run: z, needs: d}\n"
TRAP = "version: 1\nstages:\n  a:\n    run: x\n    matrix: {python: [3.10, 3.13]}\n"
LATER = "version: 1\nstages:\n  a: {run: x, isolate: {ports: [y]}}\n"


def test_a_good_file_is_ok(call: Call, here: Path) -> None:
    (here / "stagebook.yaml").write_text(GOOD)
    done = call("lint")
    assert (done.code, done.out, done.err) == (0, "ok: 3 stages, 2 edges\n", "")


def test_the_file_is_found_upward(call: Call, here: Path, monkeypatch: object) -> None:
    import os

    (here / "stagebook.yaml").write_text(GOOD)
    (here / "deep" / "er").mkdir(parents=True)
    os.chdir(here / "deep" / "er")
    assert call("lint").code == 0


def test_three_errors_are_three_messages_and_exit_2(call: Call, here: Path) -> None:
    (here / "ci.yaml").write_text(BAD)
    done = call("lint", "ci.yaml")
    assert (done.code, done.out) == (2, "")
    places = [line.split(": ")[0] for line in done.err.splitlines() if line.startswith("ci.yaml:")]
    assert places == ["ci.yaml:5:5", "ci.yaml:6:24", "ci.yaml:7:22"]
    assert done.err.splitlines()[-1] == "3 errors, nothing was run"


def test_as_json_findings_are_notes_and_nothing_else_is_printed(call: Call, here: Path) -> None:
    (here / "ci.yaml").write_text(BAD)
    done = call("lint", "ci.yaml", "--json")
    assert (done.code, done.err) == (2, "")
    document = json.loads(done.out)
    assert document["ok"] is False
    assert [(note["file"], note["line"], note["level"]) for note in document["notes"]] == [
        ("ci.yaml", 5, "error"),
        ("ci.yaml", 6, "error"),
        ("ci.yaml", 7, "error"),
    ]
    assert all(set(note) == {"file", "line", "col", "code", "level", "message"} for note in document["notes"])


def test_a_warning_is_exit_0_and_under_strict_exit_1(call: Call, here: Path) -> None:
    (here / "stagebook.yaml").write_text(TRAP)
    done = call("lint")
    assert done.code == 0
    assert "read as 3.1; quote it" in done.err
    assert done.out.startswith("ok: ")
    strict = call("lint", "--strict")
    assert (strict.code, strict.out) == (1, "")
    assert json.loads(call("lint", "--strict", "--json").out)["ok"] is False


def test_a_key_that_is_only_not_built_yet_is_a_note(call: Call, here: Path) -> None:
    (here / "stagebook.yaml").write_text(LATER)
    done = call("lint", "--strict")
    assert done.code == 0
    assert "note: " in done.err


def test_quiet_says_only_what_is_wrong(call: Call, here: Path) -> None:
    (here / "stagebook.yaml").write_text(TRAP)
    done = call("lint", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    (here / "stagebook.yaml").write_text(BAD)
    assert "need" in call("lint", "--quiet").err


def test_several_files_are_judged_each(call: Call, here: Path) -> None:
    (here / "a.yaml").write_text(GOOD)
    (here / "b.yaml").write_text(GOOD)
    assert call("lint", "a.yaml", "b.yaml").out == "a.yaml: ok: 3 stages, 2 edges\nb.yaml: ok: 3 stages, 2 edges\n"
    (here / "b.yaml").write_text(BAD)
    done = call("lint", "a.yaml", "b.yaml", "missing.yaml")
    assert done.code == 2
    assert "b.yaml:5:5" in done.err
    assert "missing.yaml" in done.err


def test_no_file_at_all_says_what_to_do(call: Call) -> None:
    done = call("lint")
    assert done.code == 2
    assert "no stagebook.yaml" in done.err


def test_lint_writes_nothing(call: Call, here: Path) -> None:
    (here / "stagebook.yaml").write_text(GOOD)
    call("lint")
    assert sorted(path.name for path in here.iterdir()) == [".git", "stagebook.yaml"]


def test_a_provider_that_nobody_knows_is_refused_as_run_refuses_it(call: Call, here: Path) -> None:
    (here / "stagebook.yaml").write_text("limits: {provider: nope}\nstages: {a: x}\n")
    done = call("lint")
    assert done.code == 2
    assert "unknown provider" in done.err
