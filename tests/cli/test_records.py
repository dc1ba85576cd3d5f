"""`runs`, `show`, `timeline` and `logs` over a run that really was: found by any word for it, told in every form."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
from tests.cli.conftest import SOURCE, Call, finish

Start = Callable[..., "subprocess.Popen[bytes]"]

FILE = """\
version: 1
name: shop
pools: {db: 1}
stages:
  build: printf 'one\\ntwo\\n\\033]52;c;aGk=\\007evil\\n'
  slow: {run: "for i in 1 2 3; do echo slow $i; sleep 0.2; done", resources: {pools: {db: 1}}}
  quick: {run: "sleep 0.3; echo quick", resources: {pools: {db: 1}}, priority: -1}
  test: {run: "echo boom; exit 3", needs: build}
  package: {run: echo p, needs: test}
  deploy: {run: echo d, needs: package}
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pipeline that ran once and failed."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "stagebook.yaml").write_text(FILE)
    done = subprocess.run(
        [sys.executable, "-m", "stagebook", "run", "-j", "3", "--quiet"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "STAGEBOOK_ACCOUNTING": "wait4"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    return folder


@pytest.fixture
def there(recorded: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(recorded)
    return recorded


def document(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call("show", "last", "--json").out)
    return found


def test_runs_are_listed_newest_first(call: Call, there: Path) -> None:
    done = call("runs")
    assert (done.code, done.err) == (0, "")
    assert "✗ failure" in done.out and "shop" in done.out
    (summary,) = json.loads(call("runs", "--json").out)["runs"]
    assert "stages" not in summary
    assert summary["outcome"] == "failure"
    assert json.loads(call("runs", "--json", "--limit", "0").out) == {"runs": []}


def test_no_runs_yet_is_an_answer(call: Call) -> None:
    done = call("runs")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("no runs yet")
    assert json.loads(call("runs", "--json").out) == {"runs": []}


@pytest.mark.parametrize("command", [["show"], ["timeline"], ["logs"]])
def test_a_run_is_found_by_id_beginning_and_last_and_by_nothing_else(
    call: Call, there: Path, command: list[str]
) -> None:
    run = document(call)["run"]
    for word in (run, run[:10], run[:10].lower(), "last"):
        assert call(*command, word).code == 0
    done = call(*command, "ZZZ")
    assert done.code == 2
    assert "no run `ZZZ`" in done.err
    assert json.loads(call(*command, "ZZZ", "--json").out)["errors"][0]["level"] == "error"


def test_show_tells_the_causes_and_where_to_look(call: Call, there: Path) -> None:
    done = call("show", "last")
    assert done.code == 0
    assert "deploy skipped ← package skipped ← test failed (exit 3)" in done.out
    assert "     1 │ boom" in done.out
    assert "stagebook run --only test" in done.out


def test_the_commands_that_a_summary_prints_work_as_they_stand(call: Call, there: Path) -> None:
    line = next(line for line in call("show", "last").out.splitlines() if line.startswith("  log "))
    words = line.split()[1:]
    assert words[0] == "stagebook"
    assert call(*words[1:]).out == "boom\n"


def test_show_json_is_the_document(call: Call, there: Path) -> None:
    found = document(call)
    assert found["outcome"] == "failure"
    assert [stage["stage"] for stage in found["stages"]] == ["build", "slow", "quick", "test", "package", "deploy"]


def test_metrics_name_the_method(call: Call, there: Path) -> None:
    out = call("show", "last", "--metrics").out
    assert "wait4" in out
    assert "pool db" in out


def test_the_timeline_fits_and_marks_waiting_and_the_path(call: Call, there: Path) -> None:
    done = call("timeline", "last")
    assert done.code == 0
    assert "░" in done.out and "█" in done.out
    assert max(map(len, done.out.splitlines())) < 80
    assert call("timeline", "last", "--ascii").out.isascii()
    assert call("timeline", "last", "--format", "htm").code == 2
    assert json.loads(call("timeline", "last", "--format", "json").out) == document(call)


def test_logs_are_bytes_as_they_are_where_no_terminal_is(call: Call, there: Path) -> None:
    assert call("logs", "last", "build").out == "one\ntwo\n\x1b]52;c;aGk=\x07evil\n"
    everything = call("logs", "last").out
    assert "==> build, attempt 1 <==\none\ntwo\n" in everything
    assert "==> slow, attempt 1 <==\nslow 1\nslow 2\nslow 3\n" in everything


def test_on_a_terminal_logs_are_harmless(start: Start, there: Path) -> None:
    leader, follower = pty.openpty()
    process = start("logs", "last", "build", stdout=follower, env={"TERM": "xterm"})
    os.close(follower)
    data = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:
            break
        data += part
    process.wait(timeout=30)
    os.close(leader)
    assert data == b"one\r\ntwo\r\n\\x1b]52;c;aGk=\\x07evil\r\n"


def test_merged_logs_are_in_order_of_time_with_their_stage(call: Call, there: Path) -> None:
    lines = [line[9:] for line in call("logs", "last", "--merge").out.splitlines()]
    assert [line for line in lines if line.startswith("slow")] == [f"slow | slow {number}" for number in (1, 2, 3)]
    assert lines.index("build | one") < lines.index("slow | slow 3") < lines.index("quick | quick")
    only = call("logs", "last", "slow", "--merge").out.splitlines()
    assert [line[9:] for line in only] == ["slow | slow 1", "slow | slow 2", "slow | slow 3"]


def test_logs_json_says_where_they_are(call: Call, there: Path) -> None:
    found = json.loads(call("logs", "last", "--json").out)
    sizes = {one["stage"]: one["size_bytes"] for one in found["logs"]}
    assert sizes["slow"] == 21
    assert all(Path(one["log"]).is_file() for one in found["logs"])


def test_an_unknown_stage_is_answered_with_the_nearest(call: Call, there: Path) -> None:
    done = call("logs", "last", "bild")
    assert done.code == 2
    assert "did you mean 'build'?" in done.err
    assert call("logs", "last", "-f", "--json").code == 2


def test_a_log_that_is_gone_is_named(call: Call, there: Path) -> None:
    path = Path(
        next(one["log"] for one in json.loads(call("logs", "last", "--json").out)["logs"] if one["stage"] == "test")
    )
    kept = path.read_bytes()
    path.unlink()
    try:
        done = call("logs", "last", "test")
        assert done.code == 4
        assert str(path) in done.err
    finally:
        path.write_bytes(kept)


def test_following_a_run_prints_what_comes_until_it_ends(start: Start, here: Path) -> None:
    (here / "go").mkdir()
    os.mkfifo(here / "gate")
    (here / "stagebook.yaml").write_text(
        "version: 1\nstages:\n  a: {run: 'echo first; cat gate; echo last'}\n  b: {run: 'echo after', needs: a}\n"
    )
    running = start("run", "--quiet", env={"STAGEBOOK_ACCOUNTING": "wait4"})
    while not list(here.glob(".stagebook/runs/*/logs/a.1.log")):
        assert running.poll() is None
        os.sched_yield()
    all_of_it = start("logs", "last", "-f")
    one_stage = start("logs", "last", "a", "-f")
    assert all_of_it.stdout is not None and one_stage.stdout is not None
    assert all_of_it.stdout.readline() == b"a | first\n"
    assert one_stage.stdout.readline() == b"first\n"
    (here / "gate").write_text("middle\n")
    assert finish(running).code == 0
    assert finish(one_stage).out == "middle\nlast\n"
    assert finish(all_of_it).out == "a | middle\na | last\nb | after\n"


def test_a_damaged_journal_is_refused_as_surroundings(call: Call, there: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(there, copy)
    (journal,) = copy.glob(".stagebook/runs/*/journal.jsonl")
    data = bytearray(journal.read_bytes())
    data[100] ^= 1
    journal.write_bytes(data)
    os.chdir(copy)
    for command in ("show", "timeline", "logs"):
        done = call(command, "last")
        assert done.code == 4
        assert "damaged at record 1" in done.err
    assert journal.read_bytes() == bytes(data)


def test_a_list_of_none_counts_the_runs_that_are_there_and_nothing_else(call: Call, there: Path) -> None:
    (there / ".stagebook" / "runs" / "junk").mkdir()
    assert call("runs", "--limit", "0").out == "1 run more; --limit shows them\n"
    assert "more" not in call("runs", "--limit", "1").out
