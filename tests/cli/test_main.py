"""The one door: commands found, words judged, every ending an exit code, and no traceback for a user."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
from tests.cli.conftest import Call, Done, finish

from stagebook import __version__
from stagebook.cli import lint
from stagebook.model.problem import DefectError, InputError, SurroundingsError

Start = Callable[..., "subprocess.Popen[bytes]"]


def errors(done: Done) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done.out)["errors"]
    return found


def test_without_words_it_says_what_there_is(call: Call) -> None:
    for words in ((), ("--help",), ("-h",), ("help",)):
        done = call(*words)
        assert done.code == 0
        assert "stagebook run stagebook.yaml -j 4" in done.out
        assert done.err == ""


def test_help_of_a_command_can_be_asked_for_in_both_ways(call: Call) -> None:
    assert call("help", "lint").out == call("lint", "--help").out


def test_the_version(call: Call) -> None:
    assert call("--version").out == f"stagebook {__version__}\n"
    assert json.loads(call("--version", "--json").out) == {"version": __version__}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["lnit"], "unknown command 'lnit', did you mean 'lint'?"),
        (["frobnicate"], "unknown command 'frobnicate'; stagebook --help lists all commands"),
        (["diagnose"], "'diagnose' is not part of this version yet"),
        (["--frob"], "unknown option '--frob'"),
        (["lint", "--strct"], "unknown option '--strct', did you mean '--strict'?"),
        (["lint", "--strct=yes"], "unknown option '--strct', did you mean '--strict'?"),
        (["show"], "the following arguments are required: RUN"),
        (["show", "a", "b"], "unexpected argument 'b'"),
        (["lint", "--color", "pink"], "invalid choice: 'pink'"),
        (["runs", "--limit", "many"], "invalid int value: 'many'"),
        (["lint", "--stric"], "unknown option '--stric', did you mean '--strict'?"),
    ],
)
def test_wrong_words_are_answered_with_what_is_near(call: Call, words: list[str], text: str) -> None:
    done = call(*words)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert text in done.err
    as_json = call(*words, "--json")
    assert (as_json.code, as_json.err) == (2, "")
    (error,) = errors(as_json)
    assert text in error["message"]
    assert set(error) == {"file", "line", "col", "code", "level", "message"}
    assert (error["code"], error["level"], error["file"]) == ("usage", "error", None)


def test_json_after_two_dashes_is_not_ours(call: Call) -> None:
    assert call("lnit", "--", "--json").out == ""


@pytest.mark.parametrize(
    ("trouble", "code"), [(InputError("no such run"), 2), (SurroundingsError("disk full"), 4), (DefectError("hm"), 5)]
)
def test_each_family_of_trouble_has_its_exit_code(
    call: Call, monkeypatch: pytest.MonkeyPatch, trouble: Exception, code: int
) -> None:
    def fail(args: object) -> int:
        raise trouble

    monkeypatch.setattr(lint, "execute", fail)
    done = call("lint")
    said, _, details = done.err.rstrip("\n").partition("; details: ")
    assert (done.code, done.out, said) == (code, "", f"error: {trouble}")
    assert os.path.isfile(details) if code == 5 else not details, done.err
    assert errors(call("lint", "--json"))[0]["message"].startswith(str(trouble))


def test_a_defect_of_ours_is_one_line_and_its_details_are_kept(
    call: Call, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    def fail(args: object) -> int:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(lint, "execute", fail)
    (here / ".stagebook").mkdir()
    done = call("lint", "--strict")
    assert done.code == 5
    line = done.err.rstrip("\n")
    assert line.startswith("Stagebook failed, your stages are safe; details: ")
    assert "\n" not in line
    details = Path(line.rsplit(": ", 1)[1])
    assert details.parent == here / ".stagebook"
    assert details.stat().st_mode & 0o777 == 0o600
    text = details.read_text()
    assert "ZeroDivisionError: surprise" in text
    assert "--strict" in text
    as_json = call("lint", "--json")
    assert (as_json.code, as_json.err) == (5, "")
    assert errors(as_json)[0]["code"] == "defect"


def test_without_a_state_directory_details_go_to_the_temporary_one(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(args: object) -> int:
        raise RecursionError

    monkeypatch.setattr(lint, "execute", fail)
    details = Path(call("lint").err.rstrip("\n").rsplit(": ", 1)[1])
    assert details.parent == tmp_path
    assert details.exists()


def test_an_interrupt_is_130_and_silent(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(lint, "execute", fail)
    assert call("lint") == Done(130, "", "")


def test_a_reader_that_has_seen_enough_ends_it_quietly(start: Start) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = start("schema", stdout=writer)
    os.close(writer)
    assert finish(process) == Done(0, "", "")


@pytest.mark.parametrize("streams", [["stdout"], ["stderr"], ["stdout", "stderr"]])
@pytest.mark.parametrize(("words", "code"), [
    (["run", "fails.yaml", "--json"], 1),
    (["run", "fails.yaml"], 1),
    (["run", "none.yaml", "--json"], 2),
    (["lint", "odd.yaml", "--strict"], 1),
    (["lint", "odd.yaml"], 0),
    (["lint", "none.yaml"], 2),
])  # fmt: skip
def test_a_reader_that_has_gone_changes_no_exit_status(
    start: Start, here: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, streams: list[str]
) -> None:
    """The document of a run is larger than any buffer, so that it fails to be written before the end of the command."""
    monkeypatch.setenv("STAGEBOOK_ACCOUNTING", "wait4")
    stages = "".join([f"  s{number}: {{run: 'exit 3', needs: s0}}\n" for number in range(1, 300)])
    (here / "fails.yaml").write_text("stages:\n  s0: exit 3\n" + stages)
    (here / "odd.yaml").write_text("stages: {deploy: 'true'}\n")
    reader, writer = os.pipe()
    os.close(reader)
    process = start(*words, **dict.fromkeys(streams, writer))
    os.close(writer)
    assert finish(process).code == code


@pytest.mark.parametrize("words", [["--help"], ["schema"], ["doctor", "--json"], ["lint", "--help"]])
def test_a_full_standard_output_is_named(start: Start, words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = finish(start(*words, stdout=full))
    assert done == Done(4, "", "error: standard output: No space left on device\n")


def test_closed_streams_are_not_handed_to_files(here: Path) -> None:
    """With descriptor 1 closed the next file opened would be 1, and our words would go into it."""
    (here / "stagebook.yaml").write_text("version: 1\nstages: {a: 'true'}\n")
    program = "import sys; from stagebook.cli.main import main; sys.exit(main(['map', '-o', 'map.txt']))"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}
    import sys

    code = subprocess.run(
        ["/bin/sh", "-c", f'exec "{sys.executable}" -c "{program}" <&- >&- 2>&-'], env=environ, check=False
    ).returncode
    assert code == 0
    assert (here / "map.txt").read_text().startswith("here  1 stage")


def test_a_locale_without_utf8_gets_letters_it_has(start: Start) -> None:
    environ = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for words in (["--help"], ["lint", "--help"], ["doctor"]):
        done = finish(start(*words, env=environ))
        assert done.code == 0
        assert done.out.isascii()


def test_problems_of_a_file_come_with_its_lines_and_a_tally(call: Call, here: Path) -> None:
    (here / "stagebook.yaml").write_text("version: 1\nstages:\n  a:\n    run: x\n    need: b\n")
    done = call("map")
    assert done.code == 2
    assert done.err.splitlines() == [
        "stagebook.yaml:5:5: error: unknown key 'need', did you mean 'needs'?",
        "  5 │     need: b",
        "    │     ^^^^",
        "",
        "1 error, nothing was run",
    ]
    assert errors(call("map", "--json")) == [
        {
            "file": errors(call("map", "--json"))[0]["file"],
            "line": 5,
            "col": 5,
            "code": "unknown-key",
            "level": "error",
            "message": "unknown key 'need', did you mean 'needs'?",
        }
    ]


def test_colour_of_errors_can_be_asked_for(call: Call) -> None:
    assert "\x1b[" in call("lint", "--color", "always").err
    assert "\x1b[" in call("lint", "--color=always").err
    assert "\x1b" not in call("lint").err
