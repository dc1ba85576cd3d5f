"""`each`: items through steps, as the command shows it. What a run did is read from the ledger, from logs and JSON."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.door import waiting
from tests.door.place import Document, Place

MARK = 'echo "$STAGEBOOK_STAGE $STAGEBOOK_ATTEMPT $ITEM_NUMBER {word}" >> "$LEDGER"'


def each(items: dict[str, Any], *steps: dict[str, Any] | str, **others: Any) -> dict[str, Any]:
    """A stage with steps `s0`, `s1`, …"""
    named = [{f"s{number}": step} for number, step in enumerate(steps)]
    return {"each": {"items": items, "steps": named, **{key.replace("_", "-"): value for key, value in others.items()}}}


def marked(word: str = "end", before: str = "") -> str:
    return f"{before}\n{MARK.format(word=word)}"


def run(place: Place, *words: str, code: int = 0, within_s: float = 60) -> Document:
    done = place.run("run", *words, "--json", within_s=within_s)
    assert done.code == code, done.said
    return done.json


def stage(document: Document, name: str = "work") -> Document:
    found: Document = next(each for each in document["stages"] if each["stage"] == name)
    return found


def items_of(place: Place, step: str, word: str = "end") -> list[int]:
    """Numbers of the items of which a step noted that word, in order."""
    return [line.pid for line in place.ledger() if (line.stage, line.word) == (step, word)]


# The line ------------------------------------------------------------------------------------------------------------


def test_r013_items_go_through_steps_like_an_assembly_line(place: Place) -> None:
    place.pipeline({"work": each({"range": [1, 10]}, *["sleep 0.2"] * 3)})
    document = run(place, "-j", "4", "--quiet")
    found = stage(document)
    assert found["items"].pop("binds") in [step["step"] for step in found["steps"]]
    assert found["items"] | {"per_s": 0, "latency_s": 0} == {
        "total": 10, "known": 10, "done": 10, "failed": 0, "skipped": 0, "dead": 0, "per_s": 0, "latency_s": 0,
        "failures": [],
    }  # fmt: skip
    assert [step["step"] for step in found["steps"]] == ["work.s0", "work.s1", "work.s2"]
    assert [step["done"] for step in found["steps"]] == [10, 10, 10]
    assert 2.4 <= found["wall_s"] < 0.75 * document["sum_s"], "one by one it would be 6 s"
    assert found["items"]["per_s"] > 2 and found["items"]["latency_s"]["median"] >= 0.6
    assert document["sum_s"] >= 6.0, "what calls took, and not only their stage"


def test_r014_no_more_wait_before_a_slow_step_than_its_buffer_holds(place: Place) -> None:
    slow = {"run": "sleep 0.05", "buffer": 2}
    place.pipeline({"work": each({"range": [1, 12]}, {"run": "true", "workers": 3}, slow)})
    found = stage(run(place, "-j", "8"))
    assert [step["queue_max"] for step in found["steps"]][1] == 2
    shown = place.run("show", "last", "--json").json
    assert stage(shown)["steps"] == found["steps"], "the record says the same"


def test_r014_ordered_steps_take_items_in_the_order_of_the_source(place: Place) -> None:
    uneven = {"run": "test $((ITEM % 3)) != 0 || sleep 0.1", "workers": 3}
    place.pipeline({"work": each({"range": [1, 9]}, uneven, {"run": marked(), "ordered": True})})
    run(place, "-j", "4")
    assert items_of(place, "work.s1") == list(range(1, 10))


def test_what_a_step_says_goes_with_its_item_and_its_directory_too(place: Place) -> None:
    first = 'echo "twice=$((ITEM * 2))" >> "$STAGEBOOK_OUTPUT"; echo "$ITEM" > "$ITEM_DIR/kept"'
    second = 'echo "$ITEM $ITEM_TWICE $(cat "$ITEM_DIR/kept")"'
    place.pipeline({"work": each({"range": [3, 5]}, {"run": first, "workers": 2}, second)})
    document = run(place)
    runs = place.folder / ".stagebook" / "runs" / document["run"]
    said = (runs / "logs" / "work.s1.1.log").read_text().splitlines()
    assert sorted(said) == ["3 6 3", "4 8 4", "5 10 5"]
    assert sorted(os.listdir(runs / "items" / "work")) == ["names.jsonl"], "nothing is left of them"


# Where items come from -----------------------------------------------------------------------------------------------


def test_lines_are_items_byte_for_byte(place: Place) -> None:
    place.pipeline({
        "list": "printf 'a b\\n\\n$(touch x)\\nfr\\374h\\nlast'",
        "work": each({"lines": "list"}, 'printf "[%s]" "$ITEM"'),
    })  # fmt: skip
    document = run(place)
    log = place.folder / ".stagebook" / "runs" / document["run"] / "logs" / "work.s0.1.log"
    assert log.read_bytes() == b"[a b][$(touch x)][fr\xfch][last]"
    assert not (place.folder / "x").exists()
    assert any("not UTF-8" in text for text in document["warnings"])


def test_json_items_are_texts_numbers_and_objects(place: Place) -> None:
    place.pipeline({
        "list": """printf '["x", 3, {"k": [1, 2]}]'""",
        "work": each({"json": "list"}, 'echo "$ITEM"'),
    })  # fmt: skip
    document = run(place)
    log = place.folder / ".stagebook" / "runs" / document["run"] / "logs" / "work.s0.1.log"
    assert log.read_text().splitlines() == ["x", "3", '{"k":[1,2]}']


NUMBERS = ["1e400", "12345678901234567890123456789.10", "-0", "1.50", '{"a":[0.1,-1E-7],"é":2}', "1" * 5000]


def test_numbers_of_json_items_stay_as_they_are_written(place: Place) -> None:
    (place.folder / "said").write_text(f"[{', '.join(NUMBERS)}]")
    (place.folder / "echo.py").write_text(
        "import sys\nfor line in sys.stdin:\n"
        "    print(line.split(',\"dir\":')[0], file=open('asked', 'a'))\n    print('{\"ok\": true}', flush=True)\n"
    )
    steps = [{"run": "python3 echo.py", "worker": True}, {"run": f'{marked()}; printf "%s\\n" "$ITEM" >> seen; false'}]
    place.pipeline({"list": "cat said", "work": each({"json": "list"}, *steps, on_item_failure="dead-letter")})
    assert stage(run(place))["items"]["failed"] == len(NUMBERS)
    again = place.run("items", "last", "work", "--retry", "--json")
    assert stage(again.json)["items"]["failed"] == len(NUMBERS), again.said
    assert sorted((place.folder / "seen").read_text().splitlines()) == sorted(NUMBERS * 2)
    asked = [json.dumps(text)[1:-1].replace('\\"', '"') for text in NUMBERS]
    assert (place.folder / "asked").read_text().splitlines() == [f'{{"item":{text}' for text in asked] * 2
    listed = place.run("items", "last", "work", "--dead", "--json").json["dead"]
    assert [each["value"] for each in listed][:4] == NUMBERS[:4]
    shown = place.run("items", "last", "work")
    assert "item 1 1e400: exit 1" in shown.out and "item 4 1.50: exit 1" in shown.out


@pytest.mark.parametrize(
    ("said", "why"),
    [("nonsense", "is no JSON"), ('{"a": 1}', "but no list"), ("[null]", "entry 1"), ('[""]', "entry 1"),
     ("[1, NaN]", "NaN is no number of JSON"), ('[{"a": -Infinity}]', "-Infinity is no number"),
     (r'["a", "\ud800"]', "entry 2 of what `list` printed holds half"),
     (r'[{"a": ["\ud800"]}]', "entry 1 of what `list` printed holds half")],
)  # fmt: skip
def test_what_is_no_list_fails_the_stage_and_says_why(place: Place, said: str, why: str) -> None:
    (place.folder / "said").write_text(said)
    place.pipeline({"list": "cat said", "work": each({"json": "list"}, "true")})
    found = stage(run(place, code=1))
    assert found["outcome"] == "failure" and why in found["reason"]


def test_a_glob_names_files_in_order_and_leaves_the_folder_through_no_link(place: Place, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").touch()
    inside = place.folder / "in"
    inside.mkdir()
    for name in ("b.txt", "a.txt", "c.bin"):
        (inside / name).write_text(name)
    (place.folder / "in" / "out").symlink_to(tmp_path / "outside")
    place.pipeline({"work": each({"glob": "in/**/*.txt"}, 'echo "$ITEM"')})
    document = run(place)
    log = place.folder / ".stagebook" / "runs" / document["run"] / "logs" / "work.s0.1.log"
    assert log.read_text().splitlines() == ["in/a.txt", "in/b.txt"]


def test_no_items_is_a_success_that_says_so(place: Place) -> None:
    place.pipeline({"work": each({"glob": "none/*"}, "false")})
    found = stage(run(place))
    assert (found["outcome"], found["reason"], found["items"]["total"]) == ("success", "no items", 0)


def test_a_watch_takes_what_is_closed_or_renamed_in_and_not_what_is_still_written(place: Place) -> None:
    folder = place.folder / "in"
    folder.mkdir()
    (folder / "there").write_text("before")
    slow = open(folder / "slow", "w")
    slow.write("half")
    slow.flush()
    place.pipeline({"work": each({"watch": "in", "until": "END"}, f'cat "$ITEM"; {marked()}')})
    command = place.start("run", "--json")
    waiting.until(lambda: items_of(place, "work.s0") == [1], "the file that was there")
    again = open(folder / "slow", "a")  # a second writer
    slow.write(" whole")
    slow.close()
    (place.folder / "new").write_text("renamed")
    os.rename(place.folder / "new", folder / "renamed")
    waiting.until(lambda: items_of(place, "work.s0") == [1, 2], "the file that was renamed in")
    (folder / ".hidden").write_text("no item")
    again.close()
    waiting.until(lambda: items_of(place, "work.s0") == [1, 2, 3], "the file that two wrote")
    (folder / "END").touch()
    done = command.wait()
    assert done.code == 0, done.said
    log = place.folder / ".stagebook" / "runs" / done.json["run"] / "logs" / "work.s0.1.log"
    assert log.read_text() == "beforerenamedhalf whole"
    assert stage(done.json)["items"]["total"] == 3


def test_a_watched_directory_that_vanishes_is_an_error(place: Place) -> None:
    (place.folder / "in").mkdir()
    (place.folder / "in" / "one").write_text("x")
    place.pipeline({"work": each({"watch": "in"}, marked())})
    command = place.start("run", "--json")
    waiting.until(lambda: items_of(place, "work.s0") == [1], "the first item")
    os.rename(place.folder / "in", place.folder / "elsewhere")
    done = command.wait()
    assert done.code == 4 and "in is gone" in stage(done.json)["reason"]


def test_a_watch_without_end_is_ended_by_a_timeout_and_by_a_signal(place: Place) -> None:
    (place.folder / "in").mkdir()
    place.pipeline({"work": {**each({"watch": "in"}, "true"), "timeout": {"stage": "300ms"}}})
    assert stage(run(place, code=1))["reason"] == "stage timeout"
    place.pipeline({"work": each({"watch": "in"}, marked())})
    command = place.start("run", "--json")
    (place.folder / "in" / "one").write_text("x")
    waiting.until(lambda: items_of(place, "work.s0") == [1], "the first item")
    command.send(signal.SIGTERM)
    assert command.wait().code == 143


# What goes wrong -----------------------------------------------------------------------------------------------------


def test_r014_stop_fails_the_stage_at_the_first_item_that_fails_for_good(place: Place) -> None:
    place.pipeline({"work": each({"range": [1, 50]}, marked("tried", "test $ITEM != 3"))})
    found = stage(run(place, code=1))
    assert (found["outcome"], found["reason"]) == ("failure", "item 3 failed in s0 (exit 1)")
    assert found["items"]["failed"] == 1 and len(items_of(place, "work.s0", "tried")) == 2


def test_r014_an_item_that_stops_its_stage_is_named_and_quoted(place: Place) -> None:
    """In the failure block, of a run and of `show`: the item, the step, its last lines, its log, how to look."""
    (place.folder / "in").mkdir()
    for name in "abc":
        (place.folder / "in" / name).write_text("x")
    second = 'test "$ITEM" != in/b || { echo noise; echo "BROKEN $ITEM"; exit 5; }'
    place.pipeline({"work": each({"glob": "in/*"}, "cat $ITEM", second)})
    said = place.run("run").out
    assert "item 2 (in/b) failed in s1 (exit 5)" in said.partition("timeline")[0], "also while it goes on"
    for text in (said, place.run("show", "last").out):
        assert "✗ work: item 2 (in/b) failed in s1 (exit 5)" in text
        assert "1 │ noise" in text and "2 │ BROKEN in/b" in text and "printed nothing" not in text
        log = next(line.split()[1] for line in text.splitlines() if line.split()[:1] == ["log"])
        assert (place.folder / log).read_text() == "noise\nBROKEN in/b\n"
        command = next(line.split("stagebook ")[1] for line in text.splitlines() if "--dead" in line)
        assert "item 2 in/b: exit 5" in place.run(*command.split()).out
    (failed,) = stage(place.show())["items"]["failures"]
    assert failed["text"] == "in/b" and failed["log"].endswith(log)


@pytest.mark.parametrize(("policy", "dead"), [("skip", 0), ("dead-letter", 2)])
def test_r014_skip_and_dead_letter_let_the_stage_succeed_and_say_so(place: Place, policy: str, dead: int) -> None:
    first = "test $ITEM != 3 || { echo broken three; exit 7; }"
    place.pipeline({"work": each({"range": [1, 6]}, first, "test $ITEM != 5", on_item_failure=policy)})
    document = run(place)
    found = stage(document)
    assert found["items"]["done"] == 4 and found["items"]["failed"] == 2 and found["items"]["dead"] == dead
    assert [(each["item"], each["step"], each["exit"]) for each in found["items"]["failures"]] == [
        (3, "work.s0", 7),
        (5, "work.s1", 1),
    ]
    assert any("2 of 6 items" in text for text in document["warnings"])
    logs = place.folder / ".stagebook" / "runs" / document["run"] / "logs"
    assert (logs / "work.s0.item-3.log").read_text() == "broken three\n"


def test_an_item_is_tried_again_and_a_call_that_takes_too_long_is_ended(place: Place) -> None:
    flaky = {"run": 'test "$STAGEBOOK_ATTEMPT" = 3', "retry": {"attempts": 3}}
    place.pipeline({"work": each({"range": [1, 2]}, flaky)})
    found = stage(run(place))
    assert found["items"]["done"] == 2 and found["steps"][0]["retried"] == 4
    hanging = {"run": "test $ITEM != 2 || sleep 60", "timeout": "300ms"}
    place.pipeline({"work": each({"range": [1, 3]}, hanging, on_item_failure="skip")})
    found = stage(run(place))
    assert [each["outcome"] for each in found["items"]["failures"]] == ["timeout"] and found["items"]["done"] == 2


def test_g001_kill_9_repeats_no_item_that_was_done(place: Place) -> None:
    steps = [
        {"run": f'echo "v=$ITEM" >> "$STAGEBOOK_OUTPUT"; {marked()}', "workers": 2},
        f'sleep 0.02; test "$ITEM_V" = "$ITEM"; {marked()}',
    ]
    place.pipeline({"work": each({"range": [1, 60]}, *steps)})
    for times in (1, 2, 3):
        words = ("run", "--resume", "--json") if times > 1 else ("run", "--json")
        command = place.start(*words)
        waiting.until(lambda least=10 * times: len(items_of(place, "work.s1")) >= least, "items that are done")
        command.kill()
    found = stage(run(place, "--resume"))
    assert found["outcome"] == "success" and found["items"]["done"] == 60
    ends = items_of(place, "work.s1")
    assert sorted(set(ends)) == list(range(1, 61))
    assert len(ends) <= 60 + 3 * 3, "only what was under way is done again"


def test_a_stage_whose_items_are_not_all_done_cannot_be_said_to_be_done(place: Place) -> None:
    step = {"run": f"{marked()}; test -e go || test $ITEM -lt 3 || sleep 60", "workers": 2}
    place.pipeline({"work": {**each({"range": [1, 8]}, step), "retry-safe": False}})
    command = place.start("run")
    waiting.until(lambda: len(items_of(place, "work.s0")) == 4, "two items that are done, and two that go on")
    command.kill()
    (place.folder / "go").touch()
    asked = place.run("run", "--resume")
    assert asked.code == 3 and "--again work" in asked.out and "--done" not in asked.out
    refused = place.run("run", "--resume", "--done", "work")
    assert refused.code == 2 and "items, and" in refused.err and "`--again work` does these" in refused.err
    found = stage(run(place, "--resume", "--again", "work"))
    assert found["outcome"] == "success" and found["items"]["done"] == 8
    assert sorted(items_of(place, "work.s0")) == [1, 2, 3, 3, 4, 4, 5, 6, 7, 8]


def test_a_signal_stops_items_and_a_resume_goes_on_behind_them(place: Place) -> None:
    place.pipeline({"work": each({"range": [1, 30]}, marked(before="sleep 0.03"))})
    command = place.start("run", "--json")
    waiting.until(lambda: len(items_of(place, "work.s0")) >= 5, "some items")
    command.send(signal.SIGINT)
    assert command.wait().code == 130
    found = stage(run(place, "--resume"))
    assert found["items"]["done"] == 30
    assert sorted(items_of(place, "work.s0")) == list(range(1, 31))


# Workers -------------------------------------------------------------------------------------------------------------

WORKER = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    item = asked["item"]
    with open(os.environ["LEDGER"], "a") as ledger:
        print(os.environ["STAGEBOOK_STAGE"], asked["attempt"], os.getpid(), f"item{item}", file=ledger)
    if item == os.environ.get("EVIL"):
        HARM
    print(json.dumps({"ok": item != "7", "outputs": {"square": int(item) ** 2}, "error": "seven"}), flush=True)
"""


def worker(place: Place, harm: str = "pass") -> None:
    (place.folder / "worker.py").write_text(WORKER.replace("HARM", harm))


@pytest.mark.parametrize("batch", [1, 4])
def test_a_worker_answers_items_line_by_line(place: Place, batch: int) -> None:
    worker(place)
    step = {"run": "python3 worker.py", "worker": True, "workers": 2, "batch": batch}
    second = f'test "$ITEM_SQUARE" = $((ITEM * ITEM)); {marked()}'
    place.pipeline({"work": each({"range": [1, 10]}, step, second, on_item_failure="skip")})
    found = stage(run(place))
    assert found["items"]["done"] == 9 and found["items"]["failures"][0]["reason"] == "seven"
    assert len({line.pid for line in place.ledger() if line.stage == "work.s0"}) <= 2, "one process a slot"


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("os._exit(9)", "its worker died: exit 9"),
        ("os.kill(os.getpid(), 9)", "its worker died"),
        ("sys.exit(0)", "without an answer"),
        ("print('rubbish', flush=True)", "is no answer"),
        ("sys.stdout.write('x' * 3_000_000); sys.stdout.flush()", "more than 1 MiB"),
        ("__import__('time').sleep(60)", "timeout"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("batch", [1, 5])
def test_an_item_that_harms_its_worker_fails_alone(place: Place, harm: str, why: str, batch: int) -> None:
    worker(place, harm)
    within = "3s" if why == "timeout" else "1m"  # a busy machine takes seconds to start the worker that comes after
    step = {"run": "python3 worker.py", "worker": True, "batch": batch, "env": {"EVIL": "4"}, "timeout": within}
    place.pipeline({"work": each({"range": [1, 6]}, step, marked(), on_item_failure="skip")})
    found = stage(run(place))
    (failed,) = found["items"]["failures"]
    assert failed["item"] == 4 and why in f"{failed['outcome']} {failed['reason']}"
    assert sorted(items_of(place, "work.s1")) == [1, 2, 3, 5, 6]


def test_python_functions_are_steps_in_processes_that_stay(place: Place) -> None:
    (place.folder / "work.py").write_text(
        "import os\n"
        "def one(item):\n"
        "    print('seen', item)\n"
        "    if item == 'b': raise ValueError('no b')\n"
        "    return {'pid': os.getpid(), 'loud': item.upper()}\n"
        "def many(items):\n"
        "    return [{'size': len(items)} for _ in items]\n"
    )
    place.pipeline({
        "list": "printf 'a\\nb\\nc\\n'",
        "work": each(
            {"lines": "list"}, {"python": "work:one"}, {"python": "work:many", "batch": 10},
            'echo "$ITEM $ITEM_LOUD $ITEM_SIZE"', on_item_failure="skip",
        ),
    })  # fmt: skip
    document = run(place)
    assert stage(document)["items"]["failures"][0]["reason"] == "ValueError: no b"
    logs = place.folder / ".stagebook" / "runs" / document["run"] / "logs"
    assert [line.split()[:2] for line in (logs / "work.s2.1.log").read_text().splitlines()] == [["a", "A"], ["c", "C"]]
    assert "seen a" in (logs / "work.s0.1.log").read_text()


OUTPUTS = """\
import json, sys
def one(item):
    return json.loads(item)
def many(items):
    return json.loads(items[0])
def all(items):
    return [json.loads(item) for item in items]
if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"ok": True, "outputs": one(asked["item"])}), flush=True)
"""
WORKING: list[dict[str, Any]] = [{"run": "python3 say.py", "worker": True}, {"python": "say:one"}]


@pytest.mark.parametrize("step", WORKING)
def test_half_a_character_in_an_output_fails_its_item_alone(place: Place, step: dict[str, Any]) -> None:
    (place.folder / "say.py").write_text(OUTPUTS)
    place.pipeline({
        "list": r"""printf '%s\n' '{"x": "\ud800"}' '{"x": "\udcff"}' '{"x": "é"}'""",
        "work": each(
            {"lines": "list"}, step, {"run": 'printf "%s" "$ITEM_X" >> seen', "ordered": True}, on_item_failure="skip"
        ),
    })  # fmt: skip
    (failed,) = stage(run(place))["items"]["failures"]
    assert failed["item"] == 1 and "is no answer" in failed["reason"]
    assert (place.folder / "seen").read_bytes() == b"\xff" + "é".encode()


@pytest.mark.parametrize("step", [*WORKING, {"run": 'printf "dir=/v\nNumber=7\nx=1\n" >> "$STAGEBOOK_OUTPUT"'}])
def test_no_output_takes_the_place_of_what_an_item_has_of_its_own(place: Place, step: dict[str, Any]) -> None:
    (place.folder / "say.py").write_text(OUTPUTS)
    (place.folder / "see.py").write_text(
        "import os\ndef go(item):\n    open('py', 'w').write(os.environ['ITEM_NUMBER'] + os.environ['ITEM_DIR'])\n"
    )
    said = '{"dir": "/v", "Number": 7, "x": 1}'
    second = 'echo "$ITEM_NUMBER $ITEM_X $ITEM_DIR" > sh'
    place.pipeline({"work": each({"values": [said]}, step, second, {"python": "see:go"})})
    (warning, other) = run(place)["warnings"]
    assert "ITEM_DIR is the item's own, not 'dir'" in warning and "ITEM_NUMBER" in other
    number, value, directory = (place.folder / "sh").read_text().split()
    assert (number, value, directory[:1]) == ("1", "1", "/") and directory.endswith("/items/work/1")
    assert (place.folder / "py").read_text() == f"1{directory}"


@pytest.mark.parametrize(
    ("step", "said", "why"),
    [
        ({"python": "say:one"}, '{"a b": 1, "é": 2, "y": 3}', "a name has letters, digits and _, and does not begin"),
        ({"python": "say:one"}, r'{"x": "a\u0000b", "y": 3}', "a value is one line without a NUL, not 'x'"),
        ({"run": "python3 say.py", "worker": True}, '{"x-y": 1, "x-z": 1, "y": 3}', "not 'x-y'; more like it"),
        ({"run": 'printf "x.y=1\ny=3\n" >> "$STAGEBOOK_OUTPUT"'}, "a", "STAGEBOOK_OUTPUT line 1: a name has letters"),
        ({"python": "say:one"}, "[1]", "a function returns a dict of outputs or None, not a list"),
        ({"python": "say:many", "batch": 3}, "[{}, {}, {}]", "a dict or None for each item, not a list of 3 for"),
        ({"python": "say:many", "batch": 3}, '{"x": 1}', "a batch returns a list with a dict or None for each item"),
        ({"python": "say:all", "batch": 3}, "7", "a dict or None for each item, not a int"),
    ],
)  # fmt: skip
def test_an_output_that_is_left_out_is_told_once(place: Place, step: dict[str, Any], said: str, why: str) -> None:
    (place.folder / "say.py").write_text(OUTPUTS)
    place.pipeline({"work": each({"values": [said, f"{said} "]}, step, 'echo "$ITEM_Y" >> seen')})
    document = run(place)
    (warning,) = document["warnings"]
    assert "work.s0: outputs of item" in warning and why in warning
    assert stage(document)["items"]["done"] == 2
    assert (place.folder / "seen").read_text() == ("3\n3\n" if '"y"' in said or "y=3" in str(step) else "\n\n")


def test_a_batch_of_a_command_is_the_lines_of_a_file(place: Place) -> None:
    step = {"run": 'cat "$ITEMS"; wc -l < "$ITEM_DIRS"', "batch": 100}
    place.pipeline({"list": "printf 'a\\nb c\\n'", "work": each({"lines": "list"}, step)})
    document = run(place)
    log = place.folder / ".stagebook" / "runs" / document["run"] / "logs" / "work.s0.1.log"
    assert log.read_text().splitlines() in (["a", "b c", "2"], ["a", "1", "b c", "1"])


# Up to date ----------------------------------------------------------------------------------------------------------


def test_a_nightly_run_does_the_new_ones_only(place: Place) -> None:
    folder = place.folder / "in"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
    place.pipeline({"work": each({"glob": "in/*"}, marked(before="test $ITEM != in/c"), on_item_failure="skip")})
    assert stage(run(place))["items"]["done"] == 2
    (folder / "a").write_text("changed")
    (folder / "d").write_text("new")
    found = stage(run(place))["items"]
    assert (found["done"], found["skipped"], found["failed"], found["total"]) == (2, 1, 1, 4)
    assert stage(run(place, "--force"))["items"]["skipped"] == 0
    place.pipeline({"work": each({"glob": "in/*"}, "true")})
    assert stage(run(place))["items"]["skipped"] == 0, "another command is other work"


# Bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stages", "why"),
    [
        ({"work": each({"range": [5, 1]}, "x")}, "the range from 5 to 1 holds nothing"),
        ({"work": each({"lines": "no"}, "x")}, "unknown stage 'no'"),
        ({"work": each({"glob": "../x"}, "x")}, "below the stage's directory"),
        ({"work": {**each({"range": [1, 2]}, "x"), "retry": {"attempts": 2}}}, "`retry` means nothing beside `each`"),
        ({"work": each({"range": [1, 2]}, {"run": "x", "workers": 0})}, "workers"),
        ({"work": each({"range": [1, 2]}, {"run": "x", "resources": {"pools": {"no": 1}}})}, "unknown pool 'no'"),
        ({"work": {"each": {"items": {"range": [1, 2]}, "steps": [{"a": "x"}, {"a": "y"}]}}}, "two steps are called"),
        ({"work": each({"range": [1, 2]}, "x"), "work.s0": "x"}, "is that of a step of `work`"),
        ({"one": each({"range": [1, 2]}, "x"), "work": each({"lines": "one"}, "x")}, "prints nothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_at_its_line(place: Place, stages: dict[str, Any], why: str) -> None:
    place.pipeline(stages)
    done = place.run("run")
    assert done.code == 2 and why in done.err and "stagebook.yaml:" in done.err
    assert "Traceback" not in done.said


def test_a_line_of_the_journal_tells_many_calls(place: Place) -> None:
    place.pipeline({"work": each({"range": [1, 5]}, "true")})
    document = run(place)
    journal = place.folder / ".stagebook" / "runs" / document["run"] / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    calls = [call for line in lines if line["event"] == "items.done" for call in line["calls"]]
    assert [call[2] for call in calls] == ["1", "2", "3", "4", "5"]
    assert sum(line["more"] for line in lines if line["event"] == "items.ready") == 5


# What is dead, and once more ----------------------------------------------------------------------------------------


def test_dead_items_are_listed_and_tried_again_alone(place: Place) -> None:
    step = f"test $ITEM != 3 -a $ITEM != 5 -o -e fixed; {marked('done')}"
    place.pipeline({"work": each({"range": [1, 6]}, step, on_item_failure="dead-letter"), "other": "true"})
    first = run(place)["run"]
    listed = place.run("items", first, "work", "--dead", "--json").json["dead"]
    assert [(each["item"], each["value"], each["exit"]) for each in listed] == [(3, "3", 1), (5, "5", 1)]
    assert all(Path(each["directory"]).is_dir() for each in listed)
    shown = place.run("items", "last", "work")
    assert shown.code == 0 and "4 of 6 items done" in shown.out and "item 5 5: exit 1 in work.s0" in shown.out
    (place.folder / "fixed").touch()
    again = place.run("items", first, "work", "--retry", "--json")
    assert again.code == 0 and stage(again.json)["items"]["done"] == 2
    assert stage(again.json, "other")["reason"] == "not selected"
    assert len(items_of(place, "work.s0", "done")) == 6
    refused = place.run("items", "last", "work", "--retry")
    assert refused.code == 2 and "no item of `work` failed for good" in refused.err


def test_items_of_a_stage_that_has_none(place: Place) -> None:
    place.pipeline({"plain": "true"})
    run(place)
    refused = place.run("items", "last", "plain")
    assert refused.code == 2 and "works through items" in refused.err


def test_r014_auto_has_no_more_workers_than_there_are_units_for(place: Place) -> None:
    work = {"run": "sleep 0.05", "workers": "auto", "resources": {"cpu": 1}}
    place.pipeline({"work": each({"range": [1, 30]}, "true", work)}, limits={"jobs": 8, "cpu": 2})
    found = stage(run(place))
    said = [record["workers"] for record in place.journal() if record["event"] == "items.workers"]
    assert max(said) == 2 and found["steps"][1]["workers"] <= 2


def test_r014_what_ran_at_once_is_told_by_calls(place: Place) -> None:
    """Also which step binds: once, in the document, for the live view and the summary alike."""
    steps = ({"run": "sleep 0.01", "workers": 2}, {"run": "sleep 0.1", "workers": 3})
    place.pipeline({"work": each({"range": [1, 12]}, *steps)})
    document = run(place, "-j", "8")
    assert 3 <= document["max_parallel"] <= 5, "one stage, of which up to five calls run"
    assert document["max_parallel"] >= document["effective_parallel"]["stages"]
    assert stage(document)["items"]["binds"] == "work.s1"
    document = run(place, "--sequential", "--force")
    assert document["max_parallel"] == 1
    assert [step["workers"] for step in stage(document)["steps"]] == [1, 1], "there was one job"
    text = place.run("show", "last").out
    assert "×" not in text.partition("timeline")[2].partition("wall")[0]
    said = " ".join(text.partition("12 of 12 items")[2].split())
    assert "from start to end (slowest" in said and said.count("an item") == 1 and "s1 binds" in said


def test_r014_workers_that_are_auto_grow_with_what_waits_and_say_why(place: Place) -> None:
    steps = ("true", {"run": "sleep 0.1", "workers": "auto", "workers-max": 4})
    place.pipeline({"work": each({"range": [1, 60]}, *steps)})
    document = run(place, "-j", "8")
    journal = place.folder / ".stagebook" / "runs" / document["run"] / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    changes = [line for line in lines if line["event"] == "items.workers"]
    assert changes and "busy while" in changes[0]["reason"]
    assert max(line["workers"] for line in changes) <= 4
    assert stage(document)["steps"][1]["workers"] == changes[-1]["workers"]
    assert stage(document)["wall_s"] < 4, "by one worker it would be 6 s"


def test_r014_items_and_steps_share_the_jobs_of_the_run(place: Place) -> None:
    step = {"run": f"{MARK.format(word='begin')}; sleep 0.02; {MARK.format(word='end')}", "workers": 4}
    place.pipeline({"work": each({"range": [1, 10]}, step, step)})
    run(place, "-j", "2")
    at_once = most = 0
    for line in place.ledger():
        at_once += 1 if line.word == "begin" else -1
        most = max(most, at_once)
    assert most == 2


def test_secrets_are_masked_in_what_items_print_and_say(place: Place) -> None:
    step = 'echo "$TOKEN"; echo "said=$TOKEN" >> "$STAGEBOOK_OUTPUT"; test "$ITEM" != 2'
    stages = {
        "work": {**each({"range": [1, 2]}, step, 'echo "$ITEM_SAID"', on_item_failure="skip"), "secrets": ["TOKEN"]}
    }
    place.pipeline(stages, secrets=["TOKEN"])
    done = place.run("run", env={"TOKEN": "hush-hush-hush"})
    assert done.code == 0, done.said
    for path in (place.folder / ".stagebook").rglob("*"):
        assert not path.is_file() or b"hush-hush" not in path.read_bytes(), path


def test_what_an_item_leaves_behind_is_ended(place: Place) -> None:
    place.pipeline({"work": each({"range": [1, 3]}, "setsid sleep 60 & echo $! >> pids")})
    document = run(place)
    assert any("left processes behind" in text for text in document["warnings"])
    for pid in (place.folder / "pids").read_text().split():
        assert not os.path.exists(f"/proc/{pid}"), "it lives"


def test_g009_what_an_item_prints_is_cut_where_the_stage_says_so(place: Place) -> None:
    loud = "head -c 3000000 /dev/zero | tr '\\0' x; echo end $ITEM"
    place.pipeline({"work": {**each({"range": [1, 3]}, loud), "log-limit": "10KiB"}})
    document = run(place)
    log = place.folder / ".stagebook" / "runs" / document["run"] / "logs" / "work.s0.1.log"
    text = log.read_bytes()
    assert len(text) < 3 * 11_000 and text.count(b"left out here") == 3 and b"end 3\n" in text


def test_g002_an_item_ends_only_what_is_its_own(place: Place) -> None:
    """Each has a process that left its session: the first that ends leaves the other's alone."""
    step = 'setsid sh -c "sleep 0.6; echo $ITEM >> late" & if test $ITEM = 1; then sleep 0.1; else wait; fi'
    place.pipeline({"work": each({"range": [1, 2]}, {"run": step, "workers": 2})})
    run(place, "-j", "2")
    assert (place.folder / "late").read_text() == "2\n"


def test_r017_a_generated_stage_may_work_through_items(place: Place) -> None:
    made = json.dumps({"stages": {"work": each({"range": [1, 4]}, "echo $ITEM")}})
    (place.folder / "made.json").write_text(made)
    place.pipeline({"make": {"generate": {"run": 'cat made.json > "$STAGEBOOK_GENERATE"'}}})
    assert stage(run(place))["items"]["done"] == 4


def test_a_worker_that_leaks_is_replaced_between_two_items(place: Place) -> None:
    worker(place)
    text = (place.folder / "worker.py").read_text()
    (place.folder / "worker.py").write_text(
        text.replace(
            "item = asked", "held = globals().setdefault('held', []); held.append('x' * 300_000); item = asked"
        )
    )
    step = {"run": "python3 worker.py", "worker": True, "batch": 50, "resources": {"memory": "50MiB"}}
    place.pipeline({"work": each({"range": [101, 700]}, step)}, limits={"memory": "1GiB"})
    found = stage(run(place))
    assert found["items"]["done"] == 600 and found["steps"][0]["retried"] == 0
    assert len({line.pid for line in place.ledger()}) >= 2
