"""A run that was begun by a Stagebook whose scheduler decides otherwise: it is told, and never gone on with."""

from __future__ import annotations

import json
import zlib

import pytest
from tests.door.place import Place, noted, outcomes


def begun_before(place: Place) -> str:
    """The id of a run that was killed in its second stage, with the journal that an older Stagebook would have left."""
    place.pipeline({"a": noted(), "b": {"run": noted("sleep 973"), "needs": "a"}})
    command = place.start("run")
    place.wait_for("b")
    command.kill("engine")
    path = place.journal_path()
    first, _, rest = path.read_bytes().partition(b"\n")
    rules = json.loads(first)["rules"]
    body = first[: first.rindex(b',"crc"')].replace(b'"rules":%d,' % rules, b"")
    path.write_bytes(b'%b,"crc":"%08x"}\n%b' % (body, zlib.crc32(body), rest))
    return place.run_ids()[-1]


@pytest.mark.parametrize("words", [[], ["--dry-run"], ["--accept-changes"]], ids=" ".join)
def test_it_is_refused_in_one_line_and_nothing_runs(place: Place, words: list[str]) -> None:
    run = begun_before(place)
    before = place.journal_path().read_bytes()
    for named in ([], [run]):
        done = place.run("run", "--resume", *named, *words)
        assert done.code == 4, done
        assert f"run {run} was begun by another version of Stagebook" in done.err
        assert "without --resume" in done.err and "Traceback" not in done.err
    assert place.began() == ["a", "b"]
    assert place.journal_path().read_bytes() == before


def test_all_that_reads_it_goes_on_reading_it_and_a_new_run_lets_it_rest(place: Place) -> None:
    run = begun_before(place)
    shown = place.show(run)
    assert (shown["state"], outcomes(shown)) == ("interrupted", {"a": "success", "b": None})
    for words in (["timeline", run], ["runs"], ["logs", run], ["stats"]):
        done = place.run(*words)
        assert done.code == 0, (words, done)
    place.pipeline({"a": noted(), "b": {"run": noted(), "needs": "a"}})
    assert place.run("run").code == 0
    done = place.run("run", "--resume", "--json")
    assert done.code == 0, done
    assert done.json["run"] != run
    assert place.began() == ["a", "b", "a", "b", "a", "b"]
