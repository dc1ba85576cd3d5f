"""The journal as DOOR.md has it: one event a line, checksums, order, and nothing announced before it is synced."""

from __future__ import annotations

import json
import zlib

import pytest
from tests.door.place import Place, by_stage, noted, outcomes
from tests.door.waiting import until

EVENTS = {
    "run.started", "run.resumed", "run.cancel", "run.ended", "stage.started", "stage.exited", "stage.ended",
    "timer.fired", "gate.asked", "gate.vote", "gate.answered", "condition.judged", "stages.added", "usage",
    "output.published", "journal.synced",
}  # fmt: skip


def test_every_line_has_the_doors_keys_in_order_with_a_true_checksum(place: Place) -> None:
    place.pipeline({
        "a": noted(), "fails": {"run": "exit 1", "retry": {"attempts": 2, "backoff": "50ms"}},
        "slow": {"run": "sleep 981", "timeout": "200ms"}, "skipped": {"run": "true", "needs": "fails"},
    })  # fmt: skip
    document = place.run("run", "--json").json
    data = place.journal_path().read_bytes()
    assert data.endswith(b"\n")
    before = None
    for number, line in enumerate(data.splitlines(), 1):
        body, mark, rest = line.rpartition(b',"crc":"')
        assert mark
        assert rest == b'%08x"}' % zlib.crc32(body)
        record = json.loads(line)
        assert list(record)[:7] == ["v", "seq", "batch", "run", "t", "at", "event"]
        assert list(record)[-1] == "crc"
        assert (record["v"], record["seq"], record["run"]) == (1, number, document["run"])
        assert record["event"] in EVENTS
        if before is not None:
            assert record["t"] >= before["t"]
            assert record["batch"] >= before["batch"]
        if record["event"].startswith("stage."):
            assert record["stage"] in outcomes(document)
        before = record
    records = place.journal()
    assert (records[0]["event"], records[0]["t"]) == ("run.started", 0)
    assert "plan" in records[0]
    assert "digest" in records[0]
    assert [record["event"] for record in records[-2:]] == ["run.ended", "journal.synced"]


def test_each_start_has_one_exit_and_each_stage_one_end(place: Place) -> None:
    place.pipeline({f"s{i}": {"run": f"exit {i % 2}", "retry": {"attempts": 2}} for i in range(6)})
    place.run("run")
    started = [(record["stage"], record["attempt"]) for record in place.events("stage.started")]
    exited = [(record["stage"], record["attempt"]) for record in place.events("stage.exited")]
    assert sorted(started) == sorted(exited)
    assert len(set(started)) == len(started) == 9
    ended = [record["stage"] for record in place.events("stage.ended")]
    assert sorted(ended) == [f"s{i}" for i in range(6)]


def test_what_is_in_the_journal_is_what_show_tells(place: Place) -> None:
    place.pipeline({"a": "true", "b": {"run": "exit 2", "needs": "a"}, "c": {"run": "true", "needs": "b"}})
    place.run("run")
    shown = by_stage(place.show())
    for record in place.events("stage.ended"):
        assert (shown[record["stage"]]["outcome"], shown[record["stage"]]["reason"]) == (
            record["outcome"], record["reason"],
        )  # fmt: skip


@pytest.mark.parametrize("words", [["run", "--json"], ["run"]], ids=" ".join)
def test_no_success_is_announced_that_could_not_be_synced(place: Place, words: list[str]) -> None:
    place.pipeline({"a": noted()})
    done = place.run(*words, env={"STAGEBOOK_FAULT": "journal.sync:1+:EIO"})
    assert done.code == 4
    assert '"outcome": "success"' not in done.out
    assert "passed" not in done.out


def test_syncs_are_at_most_100_ms_behind_while_the_run_goes_on(place: Place) -> None:
    place.pipeline([{f"s{i}": "sleep 0.04"} for i in range(12)])
    assert place.run("run").code == 0
    oldest = None
    for record in place.journal():
        if record["event"] == "journal.synced":
            oldest = None
        elif oldest is None:
            oldest = record["t"]
        # Generous: the line that tells of a sync is written with the next batch.
        assert oldest is None or record["t"] - oldest < 0.1 + 1.0


def test_durability_full_syncs_every_batch(place: Place) -> None:
    place.pipeline([{f"s{i}": "true"} for i in range(5)])
    assert place.run("run", env={"STAGEBOOK_DURABILITY": "full"}).code == 0
    full = len(place.events("journal.synced"))
    assert place.run("run").code == 0
    assert full >= 5 > len(place.events("journal.synced"))


def test_before_a_start_that_must_not_be_repeated_everything_is_synced(place: Place) -> None:
    place.pipeline([{"a": "true"}, {"deploy": {"run": noted("sleep 982"), "retry-safe": False}}])
    command = place.start("run")
    place.wait_for("deploy")
    until(lambda: [each for each in place.events("stage.started") if each["stage"] == "deploy"], "its line")
    command.kill("engine")
    events = [(record["event"], record.get("stage")) for record in place.journal()]
    assert ("journal.synced", None) in events[: events.index(("stage.started", "deploy"))]
