"""G1: the engine is killed at any moment, and `--resume` finishes the run.

No finished stage runs again, none is lost, and a stage whose end is unknown is `error` with reason `interrupted`
before anything else happens to it.
"""

from __future__ import annotations

import random
import subprocess
import time
from typing import Any, Callable

import pytest
from tests.door.place import SCALE, Document, Place, at_night, attempts, note

SAMPLES = 200 * SCALE
BATCHES = 20


def mixed_graph() -> dict[str, Any]:
    """30 stages: fans, joins, a diamond, a chain, a matrix, retries, an `always`, a lock and a pool, each with an
    artifact that appears whole."""

    def stage(needs: list[str] | None = None, work: str = "", **others: Any) -> dict[str, Any]:
        make = (
            'echo "$STAGEBOOK_STAGE" > "made/.$STAGEBOOK_STAGE" && mv "made/.$STAGEBOOK_STAGE" "made/$STAGEBOOK_STAGE"'
        )
        text = "\n".join(filter(None, (note("begin"), work, make, note("end"))))
        return {"run": text, "needs": needs or [], **others}

    stages: dict[str, Any] = {"setup": stage(work="mkdir -p made")}
    for index in range(9):
        stages[f"fan-{index}"] = stage(["setup"], work="sleep 0.01" if index % 3 else "")
    stages["join-a"] = stage([f"fan-{index}" for index in range(4)])
    stages["join-b"] = stage([f"fan-{index}" for index in range(4, 9)])
    stages["join-any"] = stage(["fan-0", "fan-7"], join="any")
    for index in range(6):
        before = f"chain-{index - 1}" if index else "join-a"
        stages[f"chain-{index}"] = stage([before], work="sleep 0.005")
    stages["cell"] = stage(["join-b"], matrix={"n": ["1", "2", "3", "4"], "max-parallel": 2})
    for index in range(3):
        stages[f"locked-{index}"] = stage(["join-b"], locks={"table": "exclusive"}, work="sleep 0.005")
    stages["flaky"] = stage(["join-any"], work='[ "$STAGEBOOK_ATTEMPT" -gt 1 ]', retry={"attempts": 2})
    stages["pooled"] = stage(["join-any"], resources={"pools": {"db": 2}})
    stages["end"] = stage(["cell", "chain-5", "locked-0", "locked-1", "locked-2", "flaky", "pooled"])
    stages["cleanup"] = stage(["end"], always=True)
    return stages


GRAPH = mixed_graph()
IDS = sorted([name for name in GRAPH if name != "cell"] + [f"cell[n={n}]" for n in "1234"])


def test_the_graph_has_30_stages() -> None:
    assert len(IDS) == 30


@pytest.fixture
def killed_place(new_place: Callable[[], Place]) -> Callable[[], Place]:
    def make() -> Place:
        place = new_place()
        place.pipeline(GRAPH, pools={"db": 3}, limits={"jobs": 4})
        return place

    return make


def check_finished_run(place: Place, document: Document, seed: object) -> None:
    """The run is over, whole, and the ledger holds nothing twice that the record does not call interrupted."""
    assert document["outcome"] == "success", (seed, document)
    assert sorted(stage["stage"] for stage in document["stages"]) == IDS
    assert all(stage["outcome"] == "success" for stage in document["stages"]), seed
    recorded: dict[str, list[str | None]] = {stage: [] for stage in IDS}
    for stage, attempt in attempts(document):
        recorded[stage].append(attempt["reason"] if attempt["outcome"] != "success" else None)
    begun = place.began()
    for stage, reasons in recorded.items():
        interrupted = reasons.count("interrupted")
        wanted = 1 + (stage == "flaky")
        # An attempt that was killed before its first line was written to the ledger left none.
        assert max(1, len(reasons) - interrupted) <= begun.count(stage) <= len(reasons), (seed, stage, reasons)
        assert len(reasons) <= wanted + interrupted, (seed, stage, reasons)
        assert [reason for reason in reasons if reason not in (None, "interrupted")] in ([], ["exit 1"]), (
            seed,
            reasons,
        )
        assert (place.folder / "made" / stage).read_text() == f"{stage}\n", (seed, stage)
    assert sorted(path.name for path in (place.folder / "made").iterdir()) == IDS
    # The attempt whose end nobody saw is recorded as such before the next one of that stage starts.
    open_attempts: dict[str, int] = {}
    for record in place.journal():
        if record["event"] == "stage.started":
            assert record["stage"] not in open_attempts, (seed, record)
            open_attempts[record["stage"]] = record["attempt"]
        elif record["event"] == "stage.exited":
            # Killed between the start of a process and its line: the attempt is on record as interrupted only.
            attempt = open_attempts.pop(record["stage"], None)
            assert attempt == record["attempt"] or record["reason"] == "interrupted", (seed, record)


def resume(place: Place, seed: object) -> Document:
    """Go on at once; ends in success. Where nothing was recorded yet, a new run begins. What it says of the run."""
    had_ended = {record["stage"] for record in place.events("stage.ended") if record["outcome"] == "success"}
    begun = [run for run in place.run_ids() if place.journal(run)]
    before = place.began()
    done = place.run("run", "--resume", *begun, "--json")
    assert done.code == 0, (seed, done)
    again = set(place.began()[len(before) :])
    assert not had_ended & again, (seed, "a recorded success ran again", had_ended & again)
    assert [run for run in place.run_ids() if place.journal(run)] == (begun or place.run_ids()[-1:]), seed
    if not begun:
        assert before == [], (seed, "something ran that no journal tells of")
    return done.json


@pytest.fixture(scope="module")
def usual_s(tmp_path_factory: pytest.TempPathFactory, stagebook: str) -> float:
    """How long the graph takes here, from the command's start to its end."""
    place = Place(tmp_path_factory.mktemp("usual") / "place", stagebook)
    place.pipeline(GRAPH, pools={"db": 3}, limits={"jobs": 4})
    begin = time.monotonic()
    assert place.run("run", "--quiet").code == 0
    place.close()
    return time.monotonic() - begin


@pytest.mark.parametrize("batch", at_night(BATCHES, 3))
def test_g01_killed_at_200_seeded_instants_it_always_resumes(
    batch: int, killed_place: Callable[[], Place], usual_s: float
) -> None:
    was_killed = 0
    for seed in range(batch, SAMPLES, BATCHES):
        chance = random.Random(seed)
        victim = chance.choice(("engine", "engine", "keeper", "both"))
        instant = chance.uniform(0.02, 1.1) * usual_s
        place = killed_place()
        command = place.start("run", "--quiet")
        try:
            command.process.wait(instant)
        except subprocess.TimeoutExpired:
            command.kill(victim)
            was_killed += 1
        check_finished_run(place, resume(place, seed), seed)
    assert was_killed, f"nothing was killed in {usual_s:.2f} s"


def fault_run(place: Place, fault: str, *words: str) -> int:
    return place.run("run", "--quiet", *words, env={"STAGEBOOK_FAULT": fault}).code


@pytest.mark.parametrize("part", at_night(6, 3))
def test_g01_killed_at_every_journal_record_until_none_is_left(part: int, killed_place: Callable[[], Place]) -> None:
    assert loop_of_kills(killed_place, "journal.append", 1 + part, 6) > 30


@pytest.mark.parametrize("part", at_night(3, 3))
def test_g01_killed_at_every_start_until_none_is_left(part: int, killed_place: Callable[[], Place]) -> None:
    assert loop_of_kills(killed_place, "spawn", 1 + part, 3) > 30


def test_g01_killed_at_every_sync_until_none_is_left(killed_place: Callable[[], Place]) -> None:
    assert loop_of_kills(killed_place, "journal.sync", 1, 1) > 1


def loop_of_kills(killed_place: Callable[[], Place], point: str, first: int, step: int) -> int:
    """Killed at the `first` passage of a fault point, then `step` later, and so on; the passage that never came."""
    at = first
    while True:
        place = killed_place()
        fault_run(place, f"{point}:{at}:KILL")
        events = [record["event"] for record in place.journal()]
        if events[-2:] == ["run.ended", "journal.synced"]:
            return at
        check_finished_run(place, resume(place, (point, at)), (point, at))
        at += step


@pytest.mark.parametrize("part", at_night(4, 4))
def test_g01_killed_again_at_every_record_of_the_resume(part: int, killed_place: Callable[[], Place]) -> None:
    """Compound: what a resume writes may be cut short as well."""
    for again in range(1 + part, 200, 4):
        place = killed_place()
        fault_run(place, "journal.append:16:KILL")
        fault_run(place, f"journal.append:{again}:KILL", "--resume")
        events = [record["event"] for record in place.journal()]
        if events[-2:] == ["run.ended", "journal.synced"]:
            break
        check_finished_run(place, resume(place, again), again)
    assert again > 10
