"""The history as a user meets it: runs that fit, trend, stats, diff, and the index made anew, cut down, given away."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
from tests.door.place import Place, noted
from tests.plan.past import DAY_US, RELEASE, Did, Past, pipeline, stage

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "json.md").read_text()
HOSTILE = "=1+cmd|' /C calc'!A0 \x1b[31m\u202e"


def now_us() -> int:
    return time.time_ns() // 1000


def week(place: Place) -> Past:
    """Seven runs, a day apart, the last of them now; the third failed."""
    past, now = Past(place.folder), now_us() - 3_600_000_000
    for day in reversed(range(7)):
        past.run(
            RELEASE, now - day * DAY_US, Did("build", 0, 10, cpu_s=4, rss=1 << 20), Did("unit", 10, 30),
            Did("e2e", 10, 20, reason="exit 1" if day == 2 else None),
        )  # fmt: skip
    return past


# runs -------------------------------------------------------------------------------------------------------------


def test_r082_runs_that_fit(place: Place) -> None:
    place.pipeline({"one": "true", "two": {"run": "exit 3", "needs": ["one"]}}, version=1, name="mine")
    assert place.run("run").code == 1
    week(place)
    all_runs = place.run("runs", "--json").json["runs"]
    assert len(all_runs) == 8
    failed = place.run("runs", "--outcome", "failure", "--json").json["runs"]
    assert failed == [run for run in all_runs if run["outcome"] == "failure"]
    assert len(failed) == 1
    recent = place.run("runs", "--pipeline", "release", "--since", "3d", "--json").json["runs"]
    assert len(recent) == 3
    assert {run["pipeline"] for run in recent} == {"release"}
    text = place.run("runs", "--stage", "two").out
    assert re.search(r"^runs with two, and how it did\n\S+ +✗ failure +mine .* ✗ +\d+ ms\n$", text, re.DOTALL)
    one = place.run("runs", "--stage", "two", "--json").json["runs"][0]
    assert (one["stage"]["stage"], one["stage"]["outcome"], one["outcome"]) == ("two", "failure", "failure")
    assert one["stage"]["wall_s"] > 0
    assert place.run("runs", "--stage", "unit", "--limit", "2").out.endswith("5 runs more; --limit shows them\n")
    assert place.run("runs", "--since", "2010-01-01", "--until", "2010-12-31").out == "no run fits\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pipeline", "relaese"], "no pipeline `relaese` is on record, did you mean `release`?"),
        (["--stage", "unti"], "no stage `unti` is on record, did you mean `unit`?"),
        (["--outcome", "failed"], "unknown outcome 'failed', did you mean 'failure'?"),
        (["--since", "yesterday"], "--since 'yesterday' is neither a duration such as `7d` nor a date"),
        (["--trend", "--outcome", "failure"], "--trend is of all outcomes"),
        (["--limit", "-1", "--stage", "unit"], "--limit -1 is below 0"),
        (["--limit", "9223372036854775808"], "--limit 9223372036854775808 is above 1000000000"),
        (["--limit", "9223372036854775808", "--stage", "unit"], "--limit 9223372036854775808 is above 1000000000"),
        (["--pipeline", "p\udcff"], "no pipeline `p"),
    ],
)
def test_wrong_words_are_told_what_is_near(words: list[str], said: str, place: Place) -> None:
    week(place)
    done = place.run("runs", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_a_trend_in_words_and_in_json(place: Place) -> None:
    week(place)
    text = place.run("runs", "--trend").out
    assert text.startswith("release: 7 runs, 7 of 7 succeeded, 100 % (65 to 100 %)\n  wall    median 30 s, p95 30 s\n")
    assert "lately  ▁▁▁▁▁▁▁\n" in text
    assert "too few runs to say whether it changes" in text
    found = place.run("runs", "--trend", "--stage", "e2e", "--limit", "4", "--json").json
    (one,) = found["trend"]
    assert (one["success"]["count"], one["success"]["of"], len(one["lately"])) == (6, 7, 4)
    assert set(keys(found)) - explained() == set()


# stats ------------------------------------------------------------------------------------------------------------


def test_r069_stats_lists_solo_with_one_and_with_more(place: Place) -> None:
    week(place)
    text = place.run("stats", "e2e").out
    assert text.startswith("e2e: 7 runs, 1 of 7 failed, 14 % (3 to 51 %); median 10 s\n✓ 6 success  ! 1 error\n")
    assert re.search(r"^wall +6 +10 s +10 s +10 s +10 s$", text, re.MULTILINE)
    assert re.search(r"^solo +0  –\nwith 1 +6 +10 s", text, re.MULTILINE)
    assert re.search(r"^with 2\+ +0  –$", text, re.MULTILINE)
    found = place.run("stats", "e2e", "--json").json
    assert found["company"]["with 1"]["n"] == 6
    assert set(keys(found)) - explained() - {"e2e", "release"} == set()


def test_too_few_runs_give_no_figure(place: Place) -> None:
    Past(place.folder).run(RELEASE, now_us(), Did("build", 0, 10))
    text = place.run("stats", "build").out
    assert text.startswith("build: 1 run, 0 of 1 failed, 0 % (0 to 79 %); insufficient data (1 run, need 5)\n")
    assert "wall    1  insufficient data (1 run, need 5)\n" in text


def test_the_median_is_the_same_above_the_table_and_in_it(place: Place) -> None:
    past = Past(place.folder)
    for number in range(5):
        past.run(RELEASE, now_us() - number * DAY_US, Did("build", 0, 0.0016))
    assert "; median 1 ms\n" in (text := place.run("stats", "build").out)
    assert re.search(r"^wall +5 +1 ms", text, re.MULTILINE)


def test_cells_of_a_matrix_are_named_by_their_values(place: Place) -> None:
    past = Past(place.folder)
    past.run(pipeline(stage("unit[py=3.11]"), stage("unit[py=3.13]")), now_us(), Did("unit[py=3.11]", 0, 1))
    assert place.run("stats", "unit[py=3.11]").code == 0
    done = place.run("stats", "unit")
    assert done.code == 2
    assert "stage `unit` has 1 cells on record: unit[py=3.11]" in done.err
    assert "did you mean `unit[py=3.11]`" in place.run("stats", "unit[py=3.12]").err


def test_a_place_without_runs_has_no_stats(place: Place) -> None:
    done = place.run("stats", "unit", "--json")
    assert done.code == 2
    assert done.json["errors"][0]["message"] == "no stage `unit` is on record"
    assert not (place.folder / ".stagebook").exists()


# diff -------------------------------------------------------------------------------------------------------------


def test_r082_diff_names_the_stage_that_got_slower_first(place: Place) -> None:
    past, now = Past(place.folder), now_us()
    past.run(RELEASE, now - DAY_US, Did("build", 0, 10), Did("unit", 10, 20), Did("e2e", 20, 25))
    past.run(
        RELEASE._replace(digest="another"), now, Did("build", 0, 10.5), Did("unit", 10.5, 23.5), Did("e2e", 23.5, 27)
    )
    old, new = place.run_ids()
    done = place.run("diff", old, "last")
    assert done.code == 0
    lines = done.out.splitlines()
    at = lines.index("slower")  # ids that take more to tell apart may wrap what is above
    assert at < 6
    assert re.match(r"  \+3\.0 s  unit +10 s → 13 s$", lines[at + 1])
    assert "  −1.5 s  e2e" in done.out
    assert re.search(r"\S{8}\S* took 27 s, \+2\.0 s against \S+: unit \+3\.0 s", " ".join(done.out.split()))
    found = place.run("diff", old, new, "--json").json
    assert (found["slower"][0]["stage"], found["slower"][0]["change_s"]) == ("unit", 3.0)
    assert found["verdict"].startswith(f"{new} took 27 s")
    assert set(keys(found)) - explained() == set()
    assert "unit −3.0 s" in " ".join(place.run("diff", new, old).out.split())
    assert "+3.0 s" in place.run("diff", old, new, "--ascii").out
    assert "-1.5 s" in place.run("diff", old, new, "--ascii").out


def test_diff_says_what_failed_and_what_had_been_changed(place: Place) -> None:
    place.pipeline({"build": "true", "unit": {"run": "true", "needs": ["build"]}}, version=1, name="p")
    assert place.run("run").code == 0
    place.pipeline({"build": "true", "unit": {"run": "exit 4", "env": {"A": "secret-value"}}}, version=1, name="p")
    assert place.run("run", "--sequential").code == 1
    done = place.run("diff", place.run_ids()[0], "last")
    said = done.out
    assert "  ✗ unit: success → failure (exit 4)\n" in said
    assert "  unit: needs build → none\n" in said
    assert "  unit: env A not set → set\n" in said
    assert "  unit: command true → exit 4\n" in said
    assert "  mode parallel → sequential\n" in said
    assert "secret-value" not in said
    assert re.search(r"^\S+ failed where \S+ passed: unit \(exit 4\)$", said.splitlines()[-1])


def test_diff_says_why_a_stage_ran(place: Place) -> None:
    (place.folder / "a.py").write_text("1")
    place.pipeline({"unit": {"run": "true", "inputs": ["*.py"]}, "other": "true"}, version=1, name="p")
    assert place.run("run").code == 0
    (place.folder / "a.py").write_text("2")
    assert place.run("run").code == 0
    old, new = place.run_ids()
    assert "\n\nchanged in between\n  unit ran: changed: a.py\n\n" in place.run("diff", old, new).out
    found = place.run("diff", old, new, "--json").json["changes"]
    assert found == [{"stage": "unit", "what": "ran", "before": None, "after": "changed: a.py"}]


def test_diff_of_an_unknown_run_is_a_mistake(place: Place) -> None:
    week(place)
    assert place.run("diff", "last", "ZZZ").code == 2
    assert place.run("diff", "last").code == 2


# The commit -------------------------------------------------------------------------------------------------------


def test_a_run_notes_the_commit_it_ran_at(place: Place) -> None:
    place.pipeline({"one": "true"}, version=1)
    git = ["git", "-C", str(place.folder), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q", "-b", "feature/x"], check=True)
    assert place.run("run").code == 0
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    assert place.run("run").code == 0
    sha = subprocess.run([*git, "rev-parse", "HEAD"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    heads = [json.loads(place.journal_path(run).read_text().splitlines()[0]) for run in place.run_ids()]
    assert [(head["commit"], head["branch"]) for head in heads] == [(None, "feature/x"), (sha, "feature/x")]
    rows = place.run("history", "export", "--json").json["rows"]
    assert [(row["commit_sha"], row["branch"]) for row in rows] == [(None, "feature/x"), (sha, "feature/x")]
    found = place.run("diff", *place.run_ids(), "--json").json
    assert [one["what"] for one in found["changes"]] == ["commit"]


def test_r090_what_was_around_a_run_and_its_stages_is_on_record(place: Place) -> None:
    place.pipeline({"long": "sleep 0.3", "short": "true"}, version=1)
    assert place.run("run").code == 0
    (run,) = place.run("history", "export", "--json").json["rows"]
    document = place.run("show", "last", "--json").json
    assert (run["others_cores"], run["autogroup"]) == (
        document["around"]["others_cores"], document["around"]["autogroup"]
    )  # fmt: skip
    long, short = place.run("history", "export", "--table", "stages", "--json").json["rows"]
    (attempt,) = next(stage for stage in document["stages"] if stage["stage"] == "long")["attempts"]
    assert (long["delay_s"], long["others_cores"], long["device_busy"], long["read_bytes"], long["write_bytes"]) == (
        attempt["around"]["run_delay_s"], attempt["around"]["others_cores"], attempt["around"]["device_busy"],
        attempt["usage"]["read_bytes"], attempt["usage"]["write_bytes"],
    )  # fmt: skip
    assert (long["delay_s"] is None) == (not os.path.exists("/proc/self/schedstat"))
    assert (short["stage"], short["delay_s"]) == ("short", None), "nothing is said of what was that short"
    stats = place.run("stats", "long", "--json").json
    assert stats["delay_s"]["max"] == long["delay_s"]
    assert re.search(r"^delay +\d", place.run("stats", "long").out, re.MULTILINE)


# history ----------------------------------------------------------------------------------------------------------


def test_rebuild_makes_it_anew_and_the_durations_with_it(place: Place) -> None:
    past = week(place)
    assert place.run("stats", "unit").code == 0
    done = place.run("history", "rebuild")
    assert done.code == 0
    assert re.match(r"\S+/history\.db made anew from 7 runs in \d", done.out)
    known = json.loads((Path(past.state) / "cache" / "durations.json").read_text())
    assert known == {"/p/stagebook.yaml": {"build": 10_000, "unit": 20_000, "e2e": 10_000}}
    assert place.run("history", "rebuild", "--json").json["runs"] == 7


def test_prune_takes_away_what_is_old_and_nothing_that_goes_on(place: Place) -> None:
    week(place)
    place.pipeline({"wait": noted("read x < fifo")}, version=1)
    os.mkfifo(place.folder / "fifo")
    going = place.start("run")
    place.wait_for("wait")
    before = place.run_ids()
    dry = place.run("history", "prune", "--older-than", "4d", "--dry-run")
    assert dry.out.endswith("3 runs would go\n")
    assert place.run_ids() == before
    assert place.run("history", "prune", "--older-than", "4d", "--keep", "6").out == "1 run removed\n"
    found = place.run("history", "prune", "--older-than", "0ms", "--keep", "0", "--json").json
    assert len(found["removed"]) == 6
    assert [one["why"] for one in found["left"]] == ["it goes on"]
    assert len(place.run_ids()) == 1
    (place.folder / "fifo").write_text("x\n")
    assert going.wait().code == 0
    assert len(place.run("history", "export", "--json").json["rows"]) == 1
    assert place.run("history", "prune").code == 2
    assert place.run("history", "prune", "--older-than", "soon").code == 2


def test_a_run_whose_directory_is_gone_is_remembered_until_it_is_pruned(place: Place) -> None:
    week(place)
    assert place.run("stats", "unit", "--json").json["runs"] == 7
    gone = place.run_ids()[0]
    shutil.rmtree(place.runs_folder / gone)
    assert place.run("stats", "unit", "--json").json["runs"] == 7
    assert len(place.run("runs", "--json").json["runs"]) == 6
    remembered = place.run("runs", "--pipeline", "release", "--json").json["runs"][-1]
    assert (remembered["run"], remembered["state"], remembered["wall_s"]) == (gone, "gone", 30)
    assert remembered.keys() == place.run("runs", "--json").json["runs"][-1].keys()
    assert place.run("history", "prune", "--older-than", "5d12h").out == "1 run removed\n"
    assert place.run("stats", "unit", "--json").json["runs"] == 6


def test_export_is_safe_for_spreadsheets_and_exact_in_json(place: Place) -> None:
    past = Past(place.folder)
    past.run(pipeline(stage(HOSTILE), name=HOSTILE), now_us(), Did(HOSTILE, 0, 1, cpu_s=0.5))
    done = place.run("history", "export", "--table", "stages")
    (row,) = csv.DictReader(io.StringIO(done.out))
    assert row["stage"] == "'=1+cmd|' /C calc'!A0 \\x1b[31m\\u202e"
    assert (row["outcome"], row["wall_s"], row["flaky"], row["rss_bytes"]) == ("success", "1.0", "false", "")
    (row,) = place.run("history", "export", "--table", "attempts", "--format", "json").json["rows"]
    assert (row["stage"], row["pipeline"], row["cpu_s"], row["company"]) == (HOSTILE, HOSTILE, 0.5, 0.0)
    assert "\x1b" not in place.run("stats", HOSTILE).said
    assert "\x1b" not in place.run("runs", "--trend").said
    assert "\x1b" not in place.run("runs", "--stage", HOSTILE).said


def test_r078_export_to_a_file_as_csv_and_parquet(place: Place) -> None:
    week(place)
    assert place.run("history", "export", "--format", "csv", "-o", "runs.csv").said == ""
    assert len((place.folder / "runs.csv").read_text().splitlines()) == 8
    assert place.run("history", "export", "--format", "parquet", "--table", "attempts", "-o", "a.parquet").said == ""
    from pyarrow import parquet

    found = parquet.read_table(place.folder / "a.parquet").to_pylist()
    assert len(found) == 21
    assert {row["stage"] for row in found} == {"build", "unit", "e2e"}
    assert found[0]["started"].tzinfo is not None
    assert place.run("history", "export", "--format", "parquet").code == 2
    done = place.run("history", "export", "-o", "nowhere/x.csv")
    assert (done.code, done.err) == (4, "error: cannot write nowhere/x.csv: No such file or directory\n")
    assert place.run("history", "export", "--format", "xml").code == 2
    assert "did you mean 'rebuild'" in place.run("history", "rebiuld").err


def test_without_pyarrow_one_line_says_what_to_install(place: Place) -> None:
    week(place)
    empty = place.base / "without"
    empty.mkdir()
    (empty / "pyarrow.py").write_text("raise ImportError('not here')\n")
    done = place.run("history", "export", "--format", "parquet", "-o", "x.parquet", env={"PYTHONPATH": str(empty)})
    assert done.code == 4
    assert done.err == (
        "error: --format parquet needs pyarrow, which is not installed: pip install 'stagebook[parquet]'\n"
    )


# Faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["of zeros", "in its schema"])
def test_a_damaged_database_is_made_anew_and_kept(place: Place, damage: str) -> None:
    past = week(place)
    first = place.run("stats", "unit", "--json")
    database = Path(past.state) / "history.db"
    broken = database.read_bytes().replace(b"CREATE TABLE attempts", b"CREATE \xdaABLE attempts")
    database.write_bytes(broken if damage == "in its schema" else b"\0" * 5000)
    again = place.run("stats", "unit", "--json")
    assert (again.code, again.out) == (0, first.out)
    assert re.match(r"note: history\.db was damaged: history\.db\.damaged-\S+ is what it was, .*\n$", again.err)
    assert len(list(Path(past.state).glob("history.db.damaged-*"))) == 1


def test_a_newer_database_is_refused_with_what_it_takes(place: Place) -> None:
    past = week(place)
    assert place.run("stats", "unit").code == 0
    raw = sqlite3.connect(Path(past.state) / "history.db")
    raw.execute("UPDATE alembic_version SET version_num = '99'")
    raw.commit()
    raw.close()
    done = place.run("stats", "unit")
    assert done.code == 4
    assert "history.db has schema 99" in done.err
    assert place.run("runs").code == 0, "what does not ask the history is not concerned"


def test_a_run_is_not_affected_by_a_database_that_is_held(place: Place) -> None:
    past = week(place)
    assert place.run("stats", "unit").code == 0
    raw = sqlite3.connect(Path(past.state) / "history.db", isolation_level=None)
    raw.execute("PRAGMA locking_mode = EXCLUSIVE")
    raw.execute("BEGIN EXCLUSIVE")
    place.pipeline({"one": noted(), "two": {"run": noted(), "needs": ["one"]}}, version=1, name="mine")
    done = place.run("run", "--json")
    assert (done.code, done.json["outcome"], place.began()) == (0, "success", ["one", "two"])
    found = place.run("stats", "two", "--json")
    assert (found.code, found.json["runs"]) == (0, 1)
    assert "held by another process" in found.err
    raw.close()
    again = place.run("stats", "two", "--json")
    assert (again.err, again.json["runs"]) == ("", 1)


def test_a_run_that_goes_on_is_in_the_history_as_far_as_it_is(place: Place) -> None:
    os.makedirs(place.folder, exist_ok=True)
    os.mkfifo(place.folder / "fifo")
    place.pipeline({"one": noted(), "two": {"run": noted("read x < fifo"), "needs": ["one"]}}, version=1)
    going = place.start("run")
    place.wait_for("two")
    found = place.run("stats", "one", "--json").json
    assert (found["runs"], found["outcomes"]) == (1, {"success": 1})
    assert place.run("stats", "two", "--json").json["going"] == 1
    (place.folder / "fifo").write_text("x\n")
    assert going.wait().code == 0
    assert place.run("stats", "two", "--json").json["outcomes"] == {"success": 1}


def test_a_damaged_journal_is_left_out_of_figures_and_shown_as_such(place: Place) -> None:
    past = week(place)
    path = place.journal_path(place.run_ids()[3])
    path.write_bytes(path.read_bytes().replace(b'"stage.ended"', b'"stage.endad"', 1))
    assert place.run("stats", "unit", "--json").json["runs"] == 6
    rows = place.run("history", "export", "--json", "--dir", past.state).json["rows"]
    assert [bool(row["damaged"]) for row in rows] == [False] * 3 + [True] + [False] * 3


def test_a_rebuild_says_which_journals_are_damaged(place: Place) -> None:
    week(place)
    assert place.run("stats", "unit", "--json").json["runs"] == 7
    run = place.run_ids()[3]
    path = place.journal_path(run)
    path.write_bytes(path.read_bytes().replace(b'"stage.ended"', b'"stage.endad"', 1))
    done = place.run("history", "rebuild")
    assert "made anew from 6 runs in" in done.out
    assert done.out.endswith(f"\n1 journal damaged, left out of all figures: {run}\n")
    assert place.run("history", "rebuild", "--json").json["damaged"] == [run]
    (trend,) = place.run("runs", "--trend", "--json").json["trend"]
    assert (trend["runs"], trend["success"]["of"]) == (6, 6)
    assert len(place.run("runs", "--outcome", "success", "--json").json["runs"]) == 6
    told = place.run("runs", "--pipeline", "release", "--json").json["runs"]
    assert [one["run"] for one in told if one["state"] == "damaged"] == [run]


def test_a_report_that_is_refused_is_told(place: Place) -> None:
    place.pipeline({"unit": "true"}, version=1)
    assert place.run("run").code == 0
    folder = place.runs_folder / place.run_ids()[0] / "reports"
    folder.mkdir()
    (folder / "unit.1.xml").write_text('<!DOCTYPE x><testsuite><testcase name="t"/></testsuite>')
    done = place.run("flaky", "-v")
    assert done.code == 0
    assert "reports/unit.1.xml:1: not read as a JUnit report any further: it has a document type" in done.err
    assert place.run("flaky").err == ""
    assert "\n1 JUnit report not read to the end:\n  /" in place.run("history", "rebuild").out
    assert "unit.1.xml:1: " in place.run("history", "rebuild", "--json").json["unread"][0]


def test_ids_of_runs_that_fit_can_be_told_from_all_others(place: Place) -> None:
    week(place)
    shown, all_shown = (
        re.findall(r"^0\S+", place.run(*words).out, re.MULTILINE)
        for words in (("runs", "--outcome", "success"), ("runs",))
    )
    assert (shown, len(shown)) == (all_shown, 7)
    assert all(sum(run.startswith(id) for run in place.run_ids()) == 1 for id in shown)


@pytest.fixture
def read_only(place: Place) -> Iterator[Past]:
    """A project with a week of runs and a history of all but the last, in which nothing can be written."""
    past = week(place)
    assert place.run("stats", "unit").code == 0
    past.run(RELEASE, now_us(), Did("unit", 0, 20))
    if os.geteuid() == 0:
        subprocess.run(["mount", "--bind", str(place.folder), str(place.folder)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place.folder)], check=True)
        yield past
        subprocess.run(["umount", "--lazy", str(place.folder)], check=True)
    else:
        place.folder.chmod(0o555)
        Path(past.state).chmod(0o555)
        yield past
        Path(past.state).chmod(0o755)
        place.folder.chmod(0o755)


def test_questions_are_answered_where_nothing_can_be_written(place: Place, read_only: Past) -> None:
    found = place.run("stats", "unit", "--json")
    assert (found.code, found.json["runs"]) == (0, 8)
    assert found.err == (
        f"note: {read_only.state}/history.db cannot be written; the journals are read for this answer only\n"
    )
    done = place.run("history", "prune", "--older-than", "1d")
    assert done.code == 4
    assert "cannot write" in done.err


def test_a_full_disk_is_told_with_path_and_cause(place: Place) -> None:
    """All that is written is limited to nothing: as root, a file system without room would take longer to make."""
    past = week(place)
    done = place.run("stats", "unit", prefix=("prlimit", "--fsize=20000"))
    assert done.code == 4
    assert done.err.startswith(f"error: cannot write {past.state}/history.db: ")
    assert "Traceback" not in done.err
    assert place.run("stats", "unit").code == 0


# ------------------------------------------------------------------------------------------------------------------


def explained() -> set[str]:
    return set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", PAGE))))


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from (word for word in re.findall(r"\w+", key) if not word.isdigit())
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def test_what_a_damaged_database_cannot_tell_is_left_out_of_a_new_one(place: Place) -> None:
    import shutil
    import sqlite3

    week(place)
    assert place.run("stats", "unit").code == 0
    gone = place.run_ids()[:2]
    for run in gone:
        shutil.rmtree(place.journal_path(run).parent)
    path = place.folder / ".stagebook" / "history.db"

    def spoil(which: str) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute(f"UPDATE runs SET run = x'ff' WHERE run {which}")
        connection.close()

    spoil(f"= '{gone[0]}'")
    assert place.run("history", "rebuild", "--json").json["runs"] == 5
    assert place.run("stats", "unit", "--json").json["runs"] == 6, "one of a run that is gone is still readable"
    spoil(f"= '{gone[1]}'")
    done = place.run("stats", "unit", "--json")
    assert (done.code, done.json["runs"]) == (0, 5), "made anew by itself"
