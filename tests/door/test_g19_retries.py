"""G19: retries are counted, over resumes too; an allowed failure stays visible; cancel ends a wait at once."""

from __future__ import annotations

import signal
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from tests.door import waiting
from tests.door.place import Place, by_stage, note, noted


def starts(place: Place, stage: str) -> list[float]:
    return [record["t"] for record in place.events("stage.started") if record["stage"] == stage]


def test_g19_r033_an_always_failing_stage_runs_as_often_as_it_may_with_a_log_each(place: Place) -> None:
    place.pipeline(
        {"fails": {"run": f"{note('begin')}\necho attempt $STAGEBOOK_ATTEMPT; exit 3", "retry": {"attempts": 3}}}
    )
    done = place.run("run", "--json")
    assert done.code == 1
    stage = by_stage(done.json)["fails"]
    assert [line.attempt for line in place.ledger()] == [1, 2, 3]
    assert [attempt["exit"] for attempt in stage["attempts"]] == [3, 3, 3]
    assert [Path(attempt["log"]).read_text() for attempt in stage["attempts"]] == [
        f"attempt {number}\n" for number in (1, 2, 3)
    ]
    assert (stage["outcome"], stage["flaky"]) == ("failure", False)


def test_g19_r033_a_stage_that_passes_on_attempt_3_is_success_and_flaky(place: Place) -> None:
    place.pipeline({
        "flaky": {"run": noted('[ "$STAGEBOOK_ATTEMPT" = 3 ]'), "retry": {"attempts": 5}},
        "next": {"run": noted(), "needs": "flaky"},
    })  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 0
    stage = by_stage(done.json)["flaky"]
    assert (stage["outcome"], stage["flaky"]) == ("success", True)
    assert [attempt["outcome"] for attempt in stage["attempts"]] == ["failure", "failure", "success"]
    assert place.began() == ["flaky", "flaky", "flaky", "next"]


def test_g19_attempts_are_counted_over_resumes_with_one_more_for_the_interrupted(place: Place) -> None:
    body = f'{note("begin")}\n[ "$STAGEBOOK_ATTEMPT" != 2 ] || sleep 901\nexit 3'
    place.pipeline({"fails": {"run": body, "retry": {"attempts": 3}}})
    command = place.start("run")
    place.wait_for("fails", times=2)
    command.kill()
    done = place.run("run", "--resume", "--json")
    assert done.code == 1, done
    attempts = by_stage(done.json)["fails"]["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == ["failure", "error", "failure"]
    assert attempts[1]["reason"] == "interrupted"
    assert [line.attempt for line in place.ledger()] == [1, 2, 3]
    assert len({attempt["log"] for attempt in attempts}) == 3


def test_g19_an_interrupted_last_attempt_gets_one_more_and_only_one(place: Place) -> None:
    place.pipeline({"fails": {"run": f'{note("begin")}\n[ "$STAGEBOOK_ATTEMPT" != 1 ] || sleep 902\nexit 3'}})
    command = place.start("run")
    place.wait_for("fails")
    command.kill()
    done = place.run("run", "--resume", "--json")
    assert done.code == 1
    assert [attempt["reason"] for attempt in by_stage(done.json)["fails"]["attempts"]] == ["interrupted", "exit 3"]
    assert [line.attempt for line in place.ledger()] == [1, 2]


def test_r033_backoff_grows_by_its_factor_up_to_its_maximum(place: Place) -> None:
    place.pipeline({
        "fails": {"run": "exit 1", "retry": {"attempts": 5, "backoff": "100ms", "factor": 3, "max": "400ms"}}
    })  # fmt: skip
    assert place.run("run").code == 1
    at = starts(place, "fails")
    gaps = [later - earlier for earlier, later in pairwise(at)]
    for gap, wanted in zip(gaps, (0.1, 0.3, 0.4, 0.4)):
        assert wanted - 0.002 <= gap < wanted + 1.0, gaps


def test_r033_jitter_keeps_within_its_share(place: Place) -> None:
    retry = {"attempts": 2, "backoff": "400ms", "jitter": "50%"}
    place.pipeline({f"s{i}": {"run": "exit 1", "retry": retry} for i in range(8)}, limits={"jobs": 8})
    assert place.run("run").code == 1
    gaps = [later - earlier for earlier, later in (starts(place, f"s{i}") for i in range(8))]
    assert all(0.2 <= gap < 0.6 + 1.0 for gap in gaps), gaps
    assert len({round(gap, 2) for gap in gaps}) > 1, "no jitter at all"


@pytest.mark.parametrize(("only", "work", "times"), [
    (["exit 75"], "exit 75", 2), (["exit 75"], "exit 1", 1), (["timeout"], "sleep 903", 2), (["timeout"], "exit 1", 1),
    (["failure"], "exit 9", 2), (["error"], "exit 9", 1),
])  # fmt: skip
def test_r033_only_says_what_is_tried_again(place: Place, only: list[str], work: str, times: int) -> None:
    place.pipeline(
        {"a": {"run": f"{note('begin')}\n{work}", "timeout": "300ms", "retry": {"attempts": 2, "only": only}}}
    )
    assert place.run("run").code == 1
    assert len(place.began()) == times


def test_g19_cancel_in_a_backoff_ends_the_wait_at_once(place: Place) -> None:
    place.pipeline({"fails": {"run": "exit 1", "retry": {"attempts": 2, "backoff": "1h"}}})
    command = place.start("run", "--json")
    waiting.until(lambda: place.events("stage.exited"), "the end of the first attempt")
    begin = time.monotonic()
    command.send(signal.SIGINT)
    done = command.wait()
    assert done.code == 130
    assert time.monotonic() - begin < 5
    assert len(by_stage(done.json)["fails"]["attempts"]) == 1


def test_a_backoff_that_was_killed_goes_on_from_where_it_was(place: Place) -> None:
    place.pipeline(
        {"fails": {"run": f"{note('begin')}\n[ $STAGEBOOK_ATTEMPT = 2 ]", "retry": {"attempts": 2, "backoff": "1s"}}}
    )
    command = place.start("run")
    waiting.until(lambda: place.events("stage.exited"), "the end of the first attempt")
    command.kill()
    done = place.run("run", "--resume", "--json")
    assert done.code == 0, done
    assert [line.attempt for line in place.ledger()] == [1, 2]
    first, second = starts(place, "fails")
    assert second - first >= 0.99


def test_g19_an_allowed_failure_counts_as_done_and_stays_visible(place: Place) -> None:
    place.pipeline({
        "lints": {"run": noted("exit 1"), "allow-failure": True},
        "next": {"run": noted(), "needs": "lints"},
    })  # fmt: skip
    done = place.run("run")
    assert done.code == 0
    assert "allowed" in done.out
    document = place.show()
    assert document["outcome"] == "success"
    assert by_stage(document)["lints"]["outcome"] == "failure"
    assert any("lints" in text for text in document["warnings"])
    assert place.began() == ["lints", "next"]


def test_r034_what_is_not_retry_safe_is_never_run_a_second_time_without_a_person(place: Place) -> None:
    place.pipeline({
        "build": noted(),
        "deploy": {"run": noted('[ -e "$BASE/fixed" ] || sleep 904'), "needs": "build", "retry-safe": False},
        "other": noted(),
        "after": {"run": noted(), "needs": "deploy"},
    })  # fmt: skip
    command = place.start("run")
    place.wait_for("deploy")
    command.kill()
    (place.base / "fixed").touch()
    for _ in range(2):
        asks = place.run("run", "--resume", "--json")
        assert asks.code == 3, asks
        assert by_stage(asks.json)["deploy"]["outcome"] is None
        assert place.began().count("deploy") == 1
        assert place.began().count("after") == 0
    assert "--again deploy" in place.run("run", "--resume").said
    done = place.run("run", "--resume", "--again", "deploy", "--json")
    assert done.code == 0, done
    assert place.began().count("deploy") == 2
    assert place.began().count("build") == 1


def test_r034_a_person_may_say_that_it_is_done(place: Place) -> None:
    place.pipeline([{"deploy": {"run": noted("sleep 905"), "retry-safe": False}}, {"after": noted()}])
    command = place.start("run")
    place.wait_for("deploy")
    command.kill()
    done = place.run("run", "--resume", "--done", "deploy", "--json")
    assert done.code == 0, done
    assert place.began() == ["deploy", "after"]
    assert by_stage(done.json)["deploy"]["outcome"] == "success"


def test_r033_times_of_attempts_do_not_overlap_and_are_in_order(place: Place) -> None:
    place.pipeline({"a": {"run": "exit 1", "retry": {"attempts": 3, "backoff": "50ms"}}})
    attempts = by_stage(place.run("run", "--json").json)["a"]["attempts"]
    times = [datetime.fromisoformat(attempt[key]) for attempt in attempts for key in ("started", "finished")]
    assert times == sorted(times)
