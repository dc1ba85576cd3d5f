"""`logs`, `show`, `timeline`, `runs` as people read them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from jsonschema import Draft202012Validator
from tests.door import waiting
from tests.door.place import Place, by_stage, note, noted
from tests.door.terminal import Terminal

HOLD = 'while [ ! -e "$BASE/go" ]; do sleep 0.02; done'


def test_logs_prints_what_one_stage_printed_byte_for_byte(place: Place) -> None:
    place.pipeline({"a": "printf 'one\\ntwo without newline'", "b": "echo other"})
    assert place.run("run").code == 0
    assert place.run("logs", "last", "a").out.rstrip("\n") == "one\ntwo without newline"
    everything = place.run("logs", "last").out
    for words in ("one\n", "two without newline", "other\n"):
        assert words in everything


def test_logs_of_an_unknown_stage_names_the_nearest(place: Place) -> None:
    place.pipeline({"unit-tests": "true"})
    assert place.run("run").code == 0
    done = place.run("logs", "last", "unit-test")
    assert done.code == 2
    assert "unit-tests" in done.err


def test_logs_f_follows_a_run_to_its_end(place: Place) -> None:
    place.pipeline([{"a": f"echo first; {HOLD}; echo second"}, {"b": "echo third"}])
    run = place.start("run")
    waiting.until(lambda: place.events("stage.started"), "the first stage")
    follow = place.start("logs", "last", "-f")
    waiting.until(lambda: "first" in follow.so_far()[0], "the first line")
    assert "second" not in follow.so_far()[0]
    (place.base / "go").touch()
    assert run.wait().code == 0
    out = follow.wait().out
    assert out.index("first") < out.index("second") < out.index("third")


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(100)


def test_logs_f_goes_on_where_it_was_when_the_log_of_a_step_is_cut(place: Place) -> None:
    said = f"{HOLD}; seq -f 'line %07.0f .' 1300000; {HOLD.replace('/go', '/end')}; echo last"
    steps = [{"say": f"echo first; test $ITEM_NUMBER = 1 || {{ {said}; }}"}]
    place.pipeline({"work": {"each": {"items": {"range": [1, 2]}, "steps": steps}}})
    run = place.start("run")
    waiting.until(lambda: place.events("items.done"), "an item")
    follow = place.start("logs", "last", "work.say", "-f")
    waiting.until(lambda: "first" in follow.so_far()[0], "the first line")
    (place.base / "go").touch()
    [log] = place.runs_folder.glob("*/logs/work.say.1.log")
    waiting.until(lambda: b"left out here" in _head(log), "the log is cut")
    (place.base / "end").touch()
    assert run.wait().code == 0
    lines = follow.wait().out.splitlines()
    numbers = [found.group(1) for found in (re.fullmatch(r"line (\d{7}) \.", line) for line in lines) if found]
    assert numbers == sorted(set(numbers)), "something was told twice"
    assert lines[-1] == "last" and numbers[-1] == "1300000"


def test_logs_merge_is_in_the_order_of_time(place: Place) -> None:
    """Sizes are noted every 100 ms while a log grows, so lines further apart than that are in order."""
    place.pipeline({
        "a": "echo a1; sleep 0.5; echo a2; sleep 0.5; echo a3",
        "b": "sleep 0.25; echo b1; sleep 0.5; echo b2; sleep 0.3",
    })  # fmt: skip
    assert place.run("run", "-j", "2").code == 0
    out = place.run("logs", "last", "--merge").out
    assert re.findall(r"\b[ab][123]\b", out) == ["a1", "b1", "a2", "b2", "a3"]


def test_r075_show_and_timeline_draw_every_stage(place: Place) -> None:
    place.pipeline({"first": noted("sleep 0.05"), "second": {"run": noted(), "needs": "first"}})
    assert place.run("run").code == 0
    for command in ("show", "timeline"):
        out = place.run(command, "last").out
        assert "first" in out
        assert "second" in out
        assert "█" in out
    ascii_only = place.run("timeline", "last", "--ascii").out
    assert ascii_only.isascii()


def test_runs_lists_newest_first_with_outcomes(place: Place) -> None:
    for work in ("true", "exit 1"):
        place.pipeline({"a": work})
        place.run("run")
    lines = place.run("runs").out.splitlines()
    assert "failure" in lines[0]
    assert "success" in lines[1]


def test_output_file_of_a_stage_is_its_own_and_empty_at_first(place: Place) -> None:
    body = '[ ! -s "$STAGEBOOK_OUTPUT" ]; echo x=1 >> "$STAGEBOOK_OUTPUT"; echo "$STAGEBOOK_OUTPUT"'
    place.pipeline({"a": body, "b": body})
    done = place.run("run", "--json")
    assert done.code == 0, done
    paths = {Path(stage["attempts"][0]["log"]).read_text().split()[-1] for stage in done.json["stages"]}
    assert len(paths) == 2


def test_a_run_says_what_it_does_while_it_does_it(place: Place) -> None:
    place.pipeline({"a": f"{note('begin')}\n{HOLD}", "b": {"run": "true", "needs": "a"}})
    command = place.start("run")
    place.wait_for("a")
    waiting.until(lambda: "a: started" in command.so_far()[0], "the line that says so")
    assert "b: started" not in command.so_far()[0]
    (place.base / "go").touch()
    done = command.wait()
    assert "b: success" in done.out
    assert by_stage(place.show())["b"]["outcome"] == "success"


def test_r076_every_line_of_logs_as_json_fits_its_schema_and_names_the_run(place: Place) -> None:
    place.pipeline({
        "a": "echo a1; sleep 0.3; printf 'a\\377\\033[31m \"2\" no end'",
        "b": {"run": "echo b1 attempt $STAGEBOOK_ATTEMPT; [ $STAGEBOOK_ATTEMPT = 2 ]", "retry": {"attempts": 2}},
    })  # fmt: skip
    assert place.run("run", "-j", "2").code == 0
    schema = place.run("schema", "log").json
    out = place.run("logs", "last", "--format", "json").out
    lines = [json.loads(line) for line in out.splitlines()]
    for line in lines:
        Draft202012Validator(schema).validate(line)
    run = place.run_ids()[-1]
    assert all(run in line for line in out.splitlines()), "grep RUN over all lines is the whole story"
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)
    assert [(line["stage"], line["attempt"], line["text"]) for line in lines if line["stage"] == "b"] == [
        ("b", 1, "b1 attempt 1"), ("b", 2, "b1 attempt 2"),
    ]  # fmt: skip
    assert [line["text"] for line in lines if line["stage"] == "a"] == ["a1", 'a\\xff\x1b[31m "2" no end']
    assert out.isascii()


def test_logs_are_filtered_by_stage_and_by_pattern(place: Place) -> None:
    place.pipeline({
        "unit": {
            "run": "for i in 1 2 3; do echo $MATRIX_OS $i; done; echo Error $MATRIX_OS", "matrix": {"os": ["x", "y"]},
        },
        "lint": "echo lint 2",
        "docs": "echo docs 2",
    })  # fmt: skip
    assert place.run("run").code == 0
    merged = place.run("logs", "last", "--merge", "--stage", "lint", "--stage", "unit", "--grep", "2$")
    assert sorted(_texts(merged.out)) == ["lint 2", "x 2", "y 2"]
    assert place.run("logs", "last", "unit[os=x]", "--grep", "(?i)error|1").out == "x 1\nError x\n"
    assert place.run("logs", "last", "lint", "--grep", r"\Alint \d\z").out == "lint 2\n"
    wrong = place.run("logs", "last", "--grep", "(")
    assert wrong.code == 2 and "RE2" in wrong.err and "Traceback" not in wrong.err
    assert place.run("logs", "last", "--stage", "lnt").code == 2
    assert place.run("logs", "last", "--tail", "-1").code == 2


def _texts(out: str) -> list[str]:
    return [line.partition(" | ")[2] for line in out.splitlines()]


def test_tail_gives_the_last_lines_of_each_log_or_of_the_whole_story(place: Place) -> None:
    place.pipeline([{"a": "for i in 1 2 3 4; do echo a$i; done"}, {"b": "echo b1; printf 'b2\\nb3'"}])
    assert place.run("run").code == 0
    assert place.run("logs", "last", "b", "--tail", "2").out == "b2\nb3"
    assert place.run("logs", "last", "--tail", "1").out == "==> a, attempt 1 <==\na4\n==> b, attempt 1 <==\nb3"
    assert _texts(place.run("logs", "last", "--merge", "--tail", "4").out) == ["a4", "b1", "b2", "b3"]
    assert _texts(place.run("logs", "last", "--merge", "--tail", "2", "--grep", "a").out) == ["a3", "a4"]
    assert place.run("logs", "last", "a", "--tail", "0").out == ""
    assert place.run("logs", "last", "a", "--tail", "99").out == "a1\na2\na3\na4\n"


def test_the_end_of_a_huge_log_is_there_at_once(place: Place) -> None:
    """A sparse file of 1 GB: whoever read it all would take seconds; what is read is counted, not timed."""
    place.pipeline({"a": "echo begin"})
    assert place.run("run").code == 0
    (log,) = place.runs_folder.glob("*/logs/a.1.log")
    with open(log, "r+b") as file:
        file.truncate(1 << 30)
        file.seek(0, 2)
        file.write(b"\nlast but one\nlast\n")
    trace = place.base / "trace"
    script = (
        "import os, sys; real = os.pread; n = [0]\ndef pread(*a):\n n[0] += a[1]; return real(*a)\nos.pread = pread\n"
        "from stagebook.cli.main import main\nmain(['logs', 'last', 'a', '--tail', '2'])\n"
        f"open({str(trace)!r}, 'w').write(str(n[0]))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=place.folder, stdout=-1, check=True)
    assert done.stdout == b"last but one\nlast\n"
    assert int(trace.read_text()) < 1 << 20


def test_a_merged_story_is_followed_to_its_end(place: Place) -> None:
    place.pipeline([{"a": f"echo first; {HOLD}; echo second"}, {"b": "echo third"}])
    run = place.start("run")
    waiting.until(lambda: place.events("stage.started"), "the first stage")
    follow = place.start("logs", "last", "-f", "--merge")
    as_json = place.start("logs", "last", "-f", "--format", "json", "--stage", "b")
    waiting.until(lambda: "first" in follow.so_far()[0], "the first line")
    assert "second" not in follow.so_far()[0]
    (place.base / "go").touch()
    assert run.wait().code == 0
    assert _texts(follow.wait().out) == ["first", "second", "third"]
    assert [json.loads(line)["text"] for line in as_json.wait().out.splitlines()] == ["third"]


def test_a_story_with_a_killed_engine_stays_in_order(place: Place) -> None:
    """What an interrupted attempt printed stands where it was printed, not where its end was noticed."""
    place.pipeline([{"a": f"echo one $STAGEBOOK_ATTEMPT; {note('begin')}; {HOLD}"}, {"b": "echo two"}])
    command = place.start("run")
    place.wait_for("a")
    command.kill()
    (place.base / "go").touch()
    assert place.run("run", "--resume").code == 0
    lines = [json.loads(line) for line in place.run("logs", "last", "--format", "json").out.splitlines()]
    assert [line["text"] for line in lines] == ["one 1", "one 2", "two"]
    resumed = place.events("run.resumed")[0]["at"]
    assert lines[0]["at"] <= resumed <= lines[1]["at"]
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)


def test_matches_are_made_plain_on_a_terminal(place: Place) -> None:
    place.pipeline({"a": "echo some error here; echo fine"})
    assert place.run("run").code == 0
    terminal = Terminal(place, "logs", "last", "a", "--grep", "err[a-z]+")
    assert terminal.wait() == 0
    out = terminal.seen
    terminal.close()
    assert b"some \x1b[1;31merror\x1b[0m here" in out and b"fine" not in out
