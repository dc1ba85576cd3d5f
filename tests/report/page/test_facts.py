"""What a page is told of a run: verdicts, and every time as the record has it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.report import documents
from tests.report.export import hostile, runs

from stagebook.record.line import time_us
from stagebook.report.page import facts
from stagebook.report.page.facts import Log


def told(document: dict[str, Any], now_us: int | None = None, **more: Any) -> dict[str, Any]:
    return facts.facts(document, now_us, **{"as_of_us": None, "short": "01KYAK7Q", "logs": {}, **more})


def verdict(document: dict[str, Any], now_us: int | None = None) -> str:
    return str(told(document, now_us)["verdict"]).replace("\u00a0", " ")


@pytest.mark.parametrize("seed", range(10))
def test_spans_equal_the_journal_to_the_microsecond(tmp_path: Path, seed: int) -> None:
    document, records = runs.played(tmp_path, seed)
    begun = {(r["stage"], r["attempt"]): time_us(r) for r in records if r["event"] == "stage.started"}
    over = {(r["stage"], r["attempt"]): time_us(r) for r in records if r["event"] == "stage.exited"}
    found = {
        (stage["name"], stage["attempts"][phase[3]]["number"]): (phase[1], phase[2])
        for stage in told(document)["stages"]
        for phase in stage.get("phases", ())
        if phase[0] in ("work", "failed", "stopped")
    }
    assert found == {key: (begun.get(key, us), us) for key, us in over.items()}


def test_the_verdict_is_one_sentence_that_says_which_how_and_where() -> None:
    assert verdict(documents.release()) == "integration failed, exit 1, after 2 m 38 s on the critical path"
    ended = documents.attempt(0, 5, outcome="timeout", exit=None)
    assert verdict(documents.run([documents.stage("a", ended)], 5.0, outcome="timeout")) == "a timed out after 5 s"
    two = [documents.stage(name, documents.attempt(0, 1, outcome="failure", exit=2)) for name in "ab"]
    assert verdict(documents.run(two, 1.0, outcome="failure")) == "a failed, exit 2, after 1 s, and 1 more"
    assert verdict(documents.run([documents.stage("a", documents.attempt(0, 5))], 5.0)) == "release passed in 5 s"
    cancelled = documents.run([], 5.0, outcome="cancellation", reason="cancelled by cancel")
    assert verdict(cancelled) == "release cancelled by cancel"
    assert "7 of 11 done after 40 s; unit runs" in verdict(runs.live(), runs.LIVE_US)


def test_holders_are_named_where_the_record_names_them() -> None:
    document = documents.release()
    (waited,) = [stage for stage in document["stages"] if stage["stage"] == "integration"]
    waited["attempts"][0]["held_by"] = ["migrate", "a stage that is not there"]
    (found,) = [stage for stage in told(document)["stages"] if stage["name"] == "integration"]
    wait = found["phases"][0]
    assert wait[4] == "waited for pool db, held by migrate, a stage that is not there"
    assert wait[5:] == ["pool:db", [8]]


def test_what_is_not_known_is_not_told() -> None:
    document = documents.release()
    for stage in document["stages"]:
        for attempt in stage["attempts"]:
            attempt["usage"] = dict.fromkeys(attempt["usage"])
    assert all("usage" not in attempt for stage in told(document)["stages"] for attempt in stage["attempts"])
    assert "stood_still_us" in told(document) and told(document)["stood_still_us"] is None
    assert told(runs.nothing())["totals"] == [["work", "0\u00a0ms", ""], ["waited", "–", ""]]


def test_lines_of_output_are_text_of_one_line() -> None:
    log = Log([(1, b"\x1b[31mred\x1b[0m\ttab\r\n"), (2, b"\xff\x07</script>")], [(9, b"x" * 20_000)], 30_000)
    found = told(documents.release(), logs={("lint", 1): log, ("unknown", 1): log})["logs"]
    assert list(found) == ["1.1"]
    assert found["1.1"]["first"] == [[1, "red    tab"], [2, "\\xff\\x07</script>"]]
    assert len(found["1.1"]["last"][0][1]) <= 8000


def test_every_text_is_harmless() -> None:
    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for key, one in value.items() for text in [key, *texts(one)]]
        return (
            [text for one in value for text in texts(one)]
            if isinstance(value, list)
            else [value] * isinstance(value, str)
        )

    for text in texts(told(hostile.run())):
        assert "\u202e" not in text and "\n" not in text and "\x1b" not in text
        text.encode()  # no half of a character


def test_g15_ten_thousand_stages_take_less_than_a_second_of_work() -> None:
    document = documents.wide(10_000)
    begun = time.process_time()
    told(document)
    assert time.process_time() - begun < 1
