"""R26: `run --watch` runs again what a change of files concerns, once, and leaves nothing behind when it is ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from tests.door import processes, waiting
from tests.door.place import Command, Place, note, noted
from tests.door.terminal import Terminal

WAITING = "waiting for changes below"
HELD = f'{note("begin")}\nuntil [ -e "$BASE/go" ]; do sleep 0.02; done\n{note("end")}'
POLITE = f"""
trap '{note("tidied")}; exit 0' TERM
{note("begin")}
until [ -e "$BASE/go" ]; do sleep 0.02; done
"""


def watch(place: Place, *words: str, **popen: object) -> Command:
    return place.start("run", "--watch", *words, **popen)  # type: ignore[arg-type]


def wait_idle(command: Command, times: int) -> None:
    """Until it says so many times that it waits for changes."""
    waiting.until(lambda: command.so_far()[0].count(WAITING) >= times, f"{times} times `{WAITING}`")


def changed(command: Command) -> list[str]:
    """The lines that say what is run again, and why."""
    return [
        line for line in command.so_far()[0].splitlines() if re.search(r" changed: (.* again|concerns no stage)$", line)
    ]


def end(place: Place, command: Command, number: int = signal.SIGINT, code: int = 130) -> None:
    command.send(number)
    done = command.wait(10)
    assert (done.code, done.err) == (code, ""), done
    assert place.left(0) == []


def test_r026_a_touched_file_is_one_run_more_and_ctrl_c_leaves_nothing(place: Place) -> None:
    place.pipeline({"unit": noted(), "report": {"run": noted(), "needs": "unit"}})
    source = place.write("1", "src/a.py")
    command = watch(place)
    wait_idle(command, 1)
    source.touch()
    wait_idle(command, 2)
    assert changed(command) == ["src/a.py changed: all again"]
    assert place.began() == ["unit", "report"] * 2
    assert len(place.run_ids()) == 2
    assert {record["event"] for run in place.run_ids() for record in place.journal(run)} >= {"run.ended"}
    end(place, command)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_r026_other_signals_end_it_too(place: Place, name: str, code: int) -> None:
    place.pipeline({"unit": noted()})
    command = watch(place, "--quiet")
    place.wait_for("unit", "end")
    waiting.until(lambda: place.events("run.ended"), "the end of the run")
    end(place, command, getattr(signal, name), code)


def test_r026_many_changes_at_once_are_one_run(place: Place) -> None:
    place.pipeline({"unit": noted()})
    command = watch(place)
    wait_idle(command, 1)
    for number in range(200):
        place.write("x", f"src/{number % 7}/{number}.py")
    wait_idle(command, 2)
    assert place.began() == ["unit"] * 2
    assert "and " in changed(command)[0]
    (place.folder / "src" / "0").rename(place.folder / "moved")
    wait_idle(command, 3)
    for name in ("moved/0.py", "moved/7.py"):
        (place.folder / name).unlink()
    wait_idle(command, 4)
    assert place.began() == ["unit"] * 4
    end(place, command)


def test_r026_only_what_a_stage_reads_concerns_it_and_all_that_need_it(place: Place) -> None:
    place.pipeline({
        "unit": {"run": noted(), "changed": ["src/**/*.py"]},
        "docs": {"run": noted(), "changed": ["docs"]},
        "page": {"run": noted(), "needs": ["docs"], "changed": ["nothing"]},
    })  # fmt: skip
    command = watch(place)
    wait_idle(command, 1)
    place.write("x", "src/deep/a.py")
    wait_idle(command, 2)
    place.write("x", "docs/page.md")
    wait_idle(command, 3)
    place.write("x", "README.md")
    wait_idle(command, 4)
    assert changed(command) == [
        "src/deep/a.py changed: unit again",
        "docs/page.md changed: docs, page again",
        "README.md changed: concerns no stage",
    ]
    assert place.began()[3:] == ["unit", "docs", "page"]
    assert len(place.run_ids()) == 3
    end(place, command)


def test_r026_options_and_selection_hold_for_every_run(place: Place) -> None:
    place.pipeline(
        {
            "a": noted(),
            "b": {"run": f"{noted()}; test \"$PARAM_X\" = 'a b'", "needs": "a"},
            "c": {"run": noted(), "needs": "b"},
        },
        params={"x": {"default": "none"}},
    )
    command = watch(place, "stagebook.yaml", "--until", "b", "--param", "x=a b", "-j", "1", "--skip=a")
    wait_idle(command, 1)
    place.write("x", "file")
    wait_idle(command, 2)
    assert place.began() == ["b", "b"]
    assert [place.show(run)["outcome"] for run in place.run_ids()] == ["success"] * 2
    end(place, command)


def test_r026_what_failed_in_a_run_is_what_failed_in_that_run_each_time(place: Place) -> None:
    place.pipeline({"good": noted(), "bad": noted("test -e fixed"), "after": {"run": noted(), "needs": "bad"}})
    assert place.run("run").code == 1
    command = watch(place, "--failed-of", "last")
    wait_idle(command, 1)
    place.write("", "fixed")
    wait_idle(command, 2)
    place.write("", "more")
    wait_idle(command, 3)
    assert place.began()[2:] == ["bad", "bad", "after", "bad", "after"]
    end(place, command)


def test_r026_a_broken_file_is_told_and_watching_goes_on(place: Place) -> None:
    place.pipeline({"unit": noted()})
    command = watch(place)
    wait_idle(command, 1)
    place.write("stages: {unit: [")
    wait_idle(command, 2)
    assert "stagebook.yaml:2:1: error: not valid YAML" in command.so_far()[1]
    place.pipeline({"unit": noted(), "more": noted()})
    wait_idle(command, 3)
    assert place.began()[0] == "unit" and sorted(place.began()[1:]) == ["more", "unit"]
    command.send(signal.SIGINT)
    assert command.wait().code == 130


def test_r026_a_change_during_a_run_is_one_more_run_after_it(place: Place) -> None:
    place.pipeline({"unit": HELD})
    source = place.write("1", "a.py")
    command = watch(place)
    place.wait_for("unit")
    for _ in range(5):
        source.write_text(source.read_text() + "2")
    (place.base / "go").touch()
    wait_idle(command, 1)
    assert changed(command) == ["a.py changed: all again"]
    assert place.began() == ["unit"] * 2
    end(place, command)


def test_r026_what_stages_write_does_not_make_them_run_for_ever(place: Place) -> None:
    """New files are theirs at once; a file that was there before is so once it changed during three runs in a row."""
    place.pipeline({"unit": noted("echo x >> report.txt; echo x > made.$STAGEBOOK_RUN; mkdir -p out; echo > out/$$")})
    command = watch(place)
    wait_idle(command, 1)
    assert place.began() == ["unit"]
    assert changed(command) == []
    end(place, command)
    again = watch(place)
    wait_idle(again, 1)
    assert place.began() == ["unit"] * 4
    assert changed(again) == ["report.txt changed: all again"] * 2
    assert again.so_far()[0].count("report.txt changed during 3 runs in a row: taken as written by stages") == 1
    place.write("x", "a.py")
    wait_idle(again, 2)
    assert place.began() == ["unit"] * 5
    (place.folder / "report.txt").unlink()  # by hand, and while nothing runs: that counts
    wait_idle(again, 3)
    assert place.began() == ["unit"] * 6
    end(place, again)


def test_r026_what_never_matters_is_left_out(place: Place) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=place.folder, check=True, env=place.env)
    place.write("*.log\n/build/\n", ".gitignore")
    place.pipeline({"unit": noted()})
    command = watch(place)
    wait_idle(command, 1)
    for name in (
        "x.log", "build/a/b", "deep/__pycache__/a.pyc", ".git/x", "node_modules/x/y.js", ".venv/bin/x", ".a.py.swp",
        "4913", "a.py~", ".#a.py", "#a.py#", ".stagebook/x",
    ):  # fmt: skip
        place.write("x", name)
    place.write("x", "real")
    wait_idle(command, 2)
    assert changed(command) == ["real changed: all again"]
    end(place, command)


def test_r026_ctrl_c_during_a_run_stops_it_in_order_and_then_all(place: Place) -> None:
    place.pipeline({"a": POLITE, "clean": {"run": noted(), "needs": "a", "always": True}})
    command = watch(place)
    place.wait_for("a")
    end(place, command)
    assert [(line.stage, line.word) for line in place.ledger()] == [
        ("a", "begin"), ("a", "tidied"), ("clean", "begin"), ("clean", "end"),
    ]  # fmt: skip
    assert [record["why"] for record in place.events("run.cancel")] == ["SIGINT"]
    assert place.show()["outcome"] == "cancellation"


def test_r026_a_second_ctrl_c_kills_at_once(place: Place) -> None:
    place.pipeline({"deaf": {"run": f"trap '' TERM INT HUP\n{HELD}", "grace": "1h"}})
    command = watch(place)
    place.wait_for("deaf")
    command.send(signal.SIGINT)
    waiting.until(lambda: place.events("run.cancel"), "the first signal in the journal")
    end(place, command)


@pytest.mark.parametrize("victim", ["engine", "keeper"])
def test_r026_killed_it_leaves_nothing(place: Place, victim: str) -> None:
    place.pipeline({"a": HELD})
    command = watch(place)
    place.wait_for("a")
    command.kill(victim)
    assert place.left(5) == []


def test_r026_on_a_terminal_ctrl_c_reaches_each_run_once(place: Place) -> None:
    place.pipeline({"a": noted()})
    with Terminal(place, "run", "--watch") as terminal:
        place.wait_for("a", "end")
        waiting.until(lambda: terminal._drain() or WAITING.encode() in terminal.seen, "that it waits")
        place.pipeline({"a": POLITE})
        place.wait_for("a", times=2)
        terminal.type(b"\x03")
        assert terminal.wait() == 130
    assert len(place.events("run.cancel")) == 1
    assert place.left(1) == []


def test_r026_idle_it_hardly_works(place: Place) -> None:
    place.pipeline({"a": noted()})
    command = watch(place)
    wait_idle(command, 1)
    pid = command.engine

    def ticks() -> int:
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))

    before = ticks()
    waiting.still(lambda: processes.is_alive(pid), "it waits", 1)
    assert (ticks() - before) / os.sysconf("SC_CLK_TCK") < 0.05
    end(place, command)


def test_r026_what_it_says_itself_may_go_into_the_folder(place: Place) -> None:
    place.pipeline({"a": noted()})
    said = place.folder / "said"
    with open(said, "wb") as file:
        command = watch(place, stdout=file, stderr=file)
    for times in (1, 2):
        waiting.until(lambda: said.read_text().count(WAITING) == times, "that it waits")  # noqa: B023
        place.write("x", "file")
    waiting.until(lambda: said.read_text().count(WAITING) == 3, "that it waits")
    assert place.began() == ["a"] * 3
    end(place, command)


def test_r026_a_folder_that_is_gone_ends_it(place: Place) -> None:
    place.pipeline({"a": noted()})
    command = watch(place)
    wait_idle(command, 1)
    place.folder.rename(place.base / "elsewhere")
    done = command.wait()
    assert done.code == 4
    assert done.err == f"error: {place.folder} is gone\n"


def test_r026_another_folder_in_its_place_ends_it(place: Place) -> None:
    place.pipeline({"a": noted()})
    command = watch(place)
    wait_idle(command, 1)
    place.folder.rename(place.base / "elsewhere")
    place.folder.mkdir()
    done = command.wait()
    assert done.code == 4
    assert done.err.startswith(f"error: {place.folder} is gone") and done.err.count("\n") == 1


@pytest.mark.parametrize("env", [{}, {"WATCHFILES_FORCE_POLLING": "1"}], ids=["told", "looking"])
def test_r026_a_name_that_is_not_utf_8_is_a_file_like_any_other(place: Place, env: dict[str, str]) -> None:
    place.pipeline({"a": {"run": noted(), "changed": ["src/*.py"]}})
    known = place.write("x", "src/known.py")
    command = watch(place, env=env)
    wait_idle(command, 1)
    Path(os.fsdecode(bytes(place.folder) + b"/src/\xff.py")).touch()
    known.write_text("y")
    wait_idle(command, 2)
    assert place.began() == ["a"] * 2
    place.write("x", "src/new.py")
    wait_idle(command, 3)
    assert place.began() == ["a"] * 3
    end(place, command)


@pytest.mark.parametrize("words", [("--json",), ("--resume",), ("--resume", "last"), ("--dry-run",)])
def test_r026_what_does_not_go_together_is_refused_in_one_line(place: Place, words: tuple[str, ...]) -> None:
    place.pipeline({"a": noted()})
    done = place.run("run", "--watch", *words)
    assert done.code == 2
    assert f"--watch does not go with {words[0]}" in done.said and done.said.count("\n") == 1
    assert place.began() == [] and place.run_ids() == []


def test_r026_a_file_that_is_not_there_is_refused(place: Place) -> None:
    for words in (("nowhere.yaml",), ("--failed-of", "last"), ()):
        done = place.run("run", "--watch", *words)
        assert (done.code, done.out) == (2, ""), done


FAKE = """
class Change:
    modified = 2
class DefaultFilter:
    ignore_dirs = ignore_entity_patterns = ()
    def __init__(self, **more): pass
    def __call__(self, kind, path): return not path.startswith(".")
def watch(folder, force_polling, **more):
    if not force_polling or {broken}:
        raise OSError("OS file watch limit reached.")
    yield set()
    while True:
        yield set()
"""


@pytest.mark.parametrize("broken", [False, True])
def test_r026_a_system_that_will_not_tell_of_changes_is_named(place: Place, broken: bool) -> None:
    place.pipeline({"a": noted()})
    fake = place.base / "fake"
    fake.mkdir()
    (fake / "watchfiles.py").write_text(FAKE.replace("{broken}", str(broken)))
    command = watch(place, env={"PYTHONPATH": str(fake)})
    if broken:
        done = command.wait()
        assert done.code == 4
        assert f"cannot watch {place.folder}: OS file watch limit reached." in done.err
        assert place.began() == []
    else:
        wait_idle(command, 1)
        assert "(OS file watch limit reached.), so all files are looked at" in command.so_far()[1]
        command.send(signal.SIGINT)
        assert command.wait().code == 130


def test_r026_by_looking_at_every_file(place: Place) -> None:
    place.pipeline({"a": noted()})
    command = watch(place, env={"WATCHFILES_FORCE_POLLING": "1"})
    wait_idle(command, 1)
    place.write("x", "file")
    wait_idle(command, 2)
    assert changed(command) == ["file changed: all again"]
    end(place, command)
