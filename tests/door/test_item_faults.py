"""What items and workers do that they should not: the command goes on, says so, and keeps memory, disk and order."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from tests.door import waiting
from tests.door.place import Place
from tests.door.test_items import each, items_of, marked, run, stage


@pytest.mark.parametrize("names", [["a", "b\nc", "d"], ["b\nc"]])
def test_an_item_that_can_be_no_line_fails_alone_in_a_batch(place: Place, names: list[str]) -> None:
    (place.folder / "in").mkdir()
    for name in names:
        (place.folder / "in" / name).touch()
    first = {"run": 'cat "$ITEMS" >> seen; echo said=x >> "$STAGEBOOK_OUTPUT"', "batch": 3}
    place.pipeline({"work": each({"glob": "in/*"}, first, marked(), on_item_failure="dead-letter")})
    found = stage(run(place))
    (failed,) = found["items"]["failures"]
    assert failed["item"] == names.index("b\nc") + 1 and "an item with a newline" in failed["reason"]
    assert len(items_of(place, "work.s1")) == found["items"]["done"] == len(names) - 1
    if len(names) > 1:
        assert (place.folder / "seen").read_text() == "in/a\nin/d\n"


SURPLUS = """
import json, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    said = {"ok": True, "outputs": {"of": asked["item"]}}
    if NAMED:
        said["number"] = asked["number"]
    for _ in range(2 if asked["item"] == "4" else 1):
        print(json.dumps(said), flush=True)
        time.sleep(0.02)
"""


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("is_named", [True, False])
def test_a_worker_that_answers_twice_is_never_believed_in_silence(place: Place, is_named: bool, batch: int) -> None:
    (place.folder / "twice.py").write_text(SURPLUS.replace("NAMED", str(is_named)))
    step = {"run": "python3 twice.py", "worker": True, "batch": batch}
    second = f'test "$ITEM_OF" = "$ITEM"; {marked()}'
    place.pipeline({"work": each({"range": [1, 9]}, step, second, on_item_failure="skip")})
    document = run(place)
    found = stage(document)
    assert found["items"]["failed"] >= 1 or not is_named
    if is_named:
        (failed,) = found["items"]["failures"]
        assert (failed["item"], failed["reason"]) == (5, "its worker answered item 4 where item 5 was due")
        assert sorted(items_of(place, "work.s1")) == [1, 2, 3, 4, 6, 7, 8, 9]
    else:
        assert any("answered more than it was asked" in text for text in document["warnings"])


def test_a_worker_that_says_something_unasked_loses_its_call(place: Place) -> None:
    """Both lines come at once, so it is known at the end of the call."""
    twice = 'import sys\nfor line in sys.stdin: print(\'{"ok": true}\\n{"ok": true}\', flush=True)'
    (place.folder / "twice.py").write_text(twice)
    place.pipeline(
        {"work": each({"range": [1, 3]}, {"run": "python3 twice.py", "worker": True}, on_item_failure="skip")}
    )
    found = stage(run(place))
    assert found["items"]["done"] == 0
    assert {each["reason"] for each in found["items"]["failures"]} == {"its worker answered more than it was asked"}


def test_r014_items_that_take_no_time_go_to_workers_many_at_once(place: Place) -> None:
    """And a resume after kill -9 goes on with lots where the journal has them."""
    (place.folder / "quick.py").write_text("def quick(item):\n    return {'twice': 2 * int(item)}\n")
    steps = [{"python": "quick:quick"}, {"python": "quick:quick", "workers": 2, "ordered": True}]
    place.pipeline({"work": each({"range": [1, 6000]}, *steps)})
    command = place.start("run", "--json")
    journals = place.folder / ".stagebook" / "runs"

    def lots() -> list[Any]:
        text = "".join(path.read_text() for path in journals.glob("*/journal.jsonl"))
        return [json.loads(line) for line in text.split("\n")[:-1] if '"items.lot"' in line]

    waiting.until(lambda: len(lots()) >= 3, "lots that grow")
    command.kill()
    found = stage(run(place, "--resume"))
    assert found["items"]["done"] == 6000 and found["items"]["failed"] == 0
    assert max(line["lot"] for line in lots()) > 8
    assert all(step["calls"] < 2000 for step in found["steps"])


def test_r014_items_that_take_their_time_go_to_workers_one_by_one(place: Place) -> None:
    (place.folder / "slow.py").write_text("import time\ndef slow(item):\n    time.sleep(0.06)\n")
    place.pipeline({"work": each({"range": [1, 20]}, {"python": "slow:slow"}, {"python": "slow:slow"})})
    found = stage(run(place))
    assert [step["calls"] for step in found["steps"]] == [20, 20]
    assert found["wall_s"] < 2.2, "an assembly line takes 1.26 s, one step after the other 2.4 s"


@pytest.mark.parametrize("bound", [{"timeout": "10s"}, {"buffer": 0}, {"buffer": 3}])
def test_r014_what_bounds_a_call_or_what_waits_bounds_a_lot(place: Place, bound: dict[str, Any]) -> None:
    (place.folder / "quick.py").write_text("def quick(item): pass\n")
    place.pipeline({"work": each({"range": [1, 600]}, {"python": "quick:quick", **bound}, {"python": "quick:quick"})})
    found = stage(run(place))
    assert found["steps"][0]["calls"] >= 600 / max(1, bound.get("buffer", 1))
    assert found["steps"][0]["queue_max"] <= max(2, bound.get("buffer", 2))


def test_g009_an_item_that_prints_without_end_fills_no_disk(place: Place) -> None:
    """Nothing but its timeout ends it, and the end of what it said is kept."""
    loud = {"run": "test $ITEM = 1 || { echo last words; exit 3; }; yes", "timeout": "1s"}
    place.pipeline({"work": each({"range": [1, 2]}, loud, on_item_failure="skip")})
    command = place.start("run", "--json")
    logs = place.folder / ".stagebook" / "runs"
    waiting.until(lambda: any(path.stat().st_size for path in logs.glob("*/logs/work.s0.1.log")), "what it prints")
    done = command.wait()
    assert done.code == 0 and stage(done.json)["items"]["failed"] == 2
    (log,) = logs.glob("*/logs/work.s0.1.log")
    text = log.read_bytes()
    assert len(text) < 18 << 20 and b"bytes left out here" in text and text.endswith(b"last words\n")
    assert (log.parent / "work.s0.item-2.log").read_bytes() == b"last words\n"
    assert 0 < (log.parent / "work.s0.item-1.log").stat().st_size <= 1 << 20


def test_g001_nothing_is_left_of_items_after_several_kills(place: Place) -> None:
    (place.folder / "keep.py").write_text(
        "import os\n"
        "def begin(item):\n"
        "    open(os.environ['ITEM_DIR'] + '/kept', 'w').write(item)\n"
        "    if item == '7': raise ValueError('no seven')\n"
        "def end(item):\n"
        "    assert open(os.environ['ITEM_DIR'] + '/kept').read() == item\n"
    )
    steps = [{"python": "keep:begin", "workers": 2}, {"python": "keep:end"}]
    place.pipeline({"work": each({"range": [1, 900]}, *steps, on_item_failure="dead-letter")})
    folder = place.folder / ".stagebook" / "runs"

    def done() -> int:
        lines = "".join(path.read_text() for path in folder.glob("*/journal.jsonl")).split("\n")[:-1]
        calls = [call for line in lines if '"items.done"' in line for call in json.loads(line)["calls"]]
        return sum(call[0] == 1 for call in calls)

    for _ in range(3):
        before = done() if folder.exists() else 0
        command = place.start("run", "--resume" if before else "--json")
        waiting.until(lambda least=before + 3: done() >= least, "calls that are over")
        command.kill()
    found = stage(run(place, "--resume"))
    assert found["items"]["done"] == 899 and found["items"]["failed"] == 1
    (kept,) = folder.glob("*/items/work")
    assert sorted(os.listdir(kept)) == ["7", "names.jsonl"]


def test_g001_an_item_that_failed_for_good_is_on_record_though_the_engine_died_before_it_said_so(place: Place) -> None:
    place.pipeline({"work": each({"range": [1, 3]}, "test $ITEM != 2", on_item_failure="dead-letter")})
    run(place)
    (journal,) = (place.folder / ".stagebook" / "runs").glob("*/journal.jsonl")
    lines = journal.read_bytes().splitlines(True)
    last = next(at for at, line in enumerate(lines) if b'"items.dead"' in line)
    journal.write_bytes(b"".join(lines[:last]))
    found = stage(run(place, "--resume"))
    assert found["items"]["failed"] == 1 and found["items"]["done"] == 2
    assert stage(place.run("show", "last", "--json").json)["items"]["dead"] == 1
    assert "item 2 2: exit 1" in place.run("items", "last", "work", "--dead").out


def test_items_share_a_pool_with_other_runs_from_the_first_of_a_stage_to_its_last(place: Place) -> None:
    """Not by item: the second run begins none while the first has one left, though a worker that stays is idle."""
    (place.base / "runtime").mkdir(mode=0o700)
    place.env["XDG_RUNTIME_DIR"] = str(place.base / "runtime")
    step = {
        "run": f'while [ ! -e "$BASE/go-$ITEM" ]; do sleep 0.02; done; {marked()}',
        "resources": {"pools": {"gpu": 1}},
    }
    place.pipeline({"work": each({"range": [1, 2]}, step)}, pools={"gpu": {"size": 1, "machine": True}})
    first = place.start("run", "--json")
    waiting.until(lambda: place.events("lease.taken"), "the first has it")
    (place.base / "go-1").touch()
    waiting.until(lambda: items_of(place, "work.s0") == [1], "an item")
    second = place.start("run", "--json", "--force")
    waiting.until(lambda: len(place.run_ids()) == 2 and place.events("lease.refused"), "the second waits")
    assert items_of(place, "work.s0") == [1]
    (place.base / "go-2").touch()
    assert first.wait().code == second.wait().code == 0
    assert items_of(place, "work.s0") == [1, 2, 1, 2]
    text = {"gpu": {"size": 1, "machine": True}}
    place.pipeline({"work": each({"range": [1, 2]}, {**step, "workers": 2})}, pools=text)
    refused = place.run("run")
    assert refused.code == 2 and "holds 2 of `gpu` for all workers of its steps, and runs share 1" in refused.err
    place.pipeline({"work": each({"range": [1, 2]}, step)}, pools={"gpu": {"size": 1, "machine": True, "rate": "5/s"}})
    assert "which runs share at a rate: only stages can, not items" in place.run("run").err


def test_workers_of_later_steps_are_loaded_while_the_first_one_is(place: Place) -> None:
    (place.folder / "late.py").write_text("import time\ntime.sleep(1)\ndef pass_on(item): pass\n")
    place.pipeline({"work": each({"range": [1, 3]}, *[{"python": "late:pass_on"}] * 3)})
    found = stage(run(place, "-j", "4"))
    assert found["items"]["done"] == 3
    assert found["wall_s"] < 2.5, "one after the other they take 3 s"
