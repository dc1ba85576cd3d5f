"""R27: a suite in shards. Dealt by what tests took, each shard in a workspace of its own, all reports one."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.door import processes
from tests.door.place import Place, by_stage, note, outcomes, reasons
from tests.door.waiting import until

ROOT = Path(__file__).resolve().parents[2]

#: Runs each test of its list: it is noted in the ledger, and its name (`t7`) is how many seconds it claims to take.
RUNNER = r"""
{ echo '<testsuite>'
while IFS= read -r test; do
  echo "$STAGEBOOK_STAGE $STAGEBOOK_ATTEMPT $$ $test" >> "$LEDGER"
  echo "<testcase name=\"$test\" time=\"${test#t}\"/>"
done < "$STAGEBOOK_SPLIT"
echo '</testsuite>'; } > report.xml
"""


def suite(place: Place, count: int = 40, shards: int = 4, run: str = RUNNER, **more: Any) -> None:
    split = {"list": f"seq -f t%g {count}", "run": run, "shards": shards, "report": "report.xml"}
    place.pipeline({"unit": {"split": split, **more}, "after": {"run": "true", "needs": "unit"}})


def dealt(place: Place, run: str = "") -> list[list[str]]:
    path = place.runs_folder / (run or place.run_ids()[-1]) / "split" / "unit.json"
    found: list[list[str]] = json.loads(path.read_text())["shards"]
    return found


def reported(path: Path) -> dict[str, dict[str, float]]:
    """A merged report: shard to test to seconds."""
    found: dict[str, dict[str, float]] = {}
    for part in ElementTree.parse(path).getroot():
        mark = part.find("./properties/property[@name='shard']")
        assert mark is not None
        tests = found.setdefault(mark.get("value", ""), {})
        for case in part.iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            assert name not in tests
            tests[name] = float(case.get("time", ""))
    return found


def workspaces(place: Place) -> list[str]:
    above = place.folder / ".stagebook" / "workspaces"
    return sorted(path.name for run in above.glob("*") for path in run.iterdir())


def test_r027_forty_uneven_tests_in_four_shards(place: Place) -> None:
    shutil.copytree(ROOT / "examples" / "split", place.folder, dirs_exist_ok=True)
    env = {"PATH": f"{Path(place.command).parent}:{place.env['PATH']}"}
    even = []
    for _ in range(2):
        done = place.run("run", env=env)
        assert done.code == 0, done
        found = reported(place.folder / "report.xml")
        assert sorted(found) == ["1", "2", "3", "4"]
        tests = [test for part in found.values() for test in part]
        assert (len(tests), len(set(tests))) == (40, 40)
        assert ElementTree.parse(place.folder / "report.xml").getroot().get("tests") == "40"
        totals = [sum(part.values()) for part in found.values()]
        even.append(max(totals) / (sum(totals) / 4))
        assert ("no timings yet" in done.said) == (len(even) == 1)
    assert even[1] <= 1.2 < even[0]
    assert workspaces(place) == []
    rows = place.run("history", "export", "--table", "tests", "--json").json["rows"]
    assert len({(row["run"], row["attempt"], row["suite"], row["classname"], row["name"]) for row in rows}) == 80
    assert {(row["stage"], row["shard"]) for row in rows} == {(f"unit[shard={n}]", f"{n}/4") for n in range(1, 5)}
    assert {(row["attempt"], row["suite"]) for row in rows} == {(1, "unit")}
    assert place.run("flaky", "--json").json["looked_at"]["tests"] == 40
    assert "stage `unit` has 5 cells: unit[shard=list], unit[shard=1], " in place.run("why", "unit").err


def test_r027_dealt_by_time_each_test_once_and_no_stage_of_the_rest_sees_a_difference(place: Place) -> None:
    suite(place)
    assert place.run("run").code == 0
    assert dealt(place)[0] == [f"t{number}" for number in range(1, 41, 4)]
    first = place.ledger()
    assert place.run("run").code == 0
    second = place.ledger()[len(first) :]
    for ledger in (first, second):
        assert sorted(int(line.word[1:]) for line in ledger) == list(range(1, 41))
    loads = [sum(int(test[1:]) for test in part) for part in dealt(place)]
    assert max(loads) <= 1.01 * sum(loads) / 4
    assert {line.stage: line.word for line in second}.keys() == {f"unit[shard={number}]" for number in range(1, 5)}
    assert list(outcomes(place.show())) == ["unit[shard=list]", *(f"unit[shard={n}]" for n in range(1, 5)), "after"]
    copies = place.runs_folder / place.run_ids()[-1] / "reports"
    assert len(os.listdir(copies)) == 4


@pytest.mark.parametrize("victim", ["engine", "both"])
def test_r027_a_killed_run_goes_on_with_the_same_shards(place: Place, victim: str) -> None:
    suite(place)
    assert place.run("run").code == 0
    before = len(place.ledger())
    pause = f'[ "$STAGEBOOK_ATTEMPT-$MATRIX_SHARD" != 1-3 ] || {{ {note("begin")}; sleep 962; }}'
    suite(place, run=pause + RUNNER)
    command = place.start("run", "-j", "4")
    place.wait_for("unit[shard=3]")
    until(lambda: len(place.events("stage.ended")) == 4, "the end of all others")
    parts = dealt(place)
    command.kill(victim)
    shutil.rmtree(place.folder / ".stagebook" / "cache")  # with the times, which no resume may need
    done = place.run("run", "--resume")
    assert done.code == 0, done
    assert dealt(place) == parts
    ran = [line.word for line in place.ledger()[before:] if line.word != "begin"]
    assert sorted(ran) == sorted(test for part in parts for test in part), "each once, in both engines together"
    assert len([test for part in reported(place.folder / "report.xml").values() for test in part]) == 40
    assert workspaces(place) == []


def test_shards_see_only_their_own_writes(place: Place) -> None:
    place.write("before", "shared.txt")
    run = (
        'cat shared.txt >> "$BASE/seen"; echo "$MATRIX_SHARD" > shared.txt; : > "new-$MATRIX_SHARD"\n'
        'echo "$STAGEBOOK_STAGE 1 $$ wrote" >> "$LEDGER"\n'
        'while [ "$(grep -c wrote "$LEDGER")" -lt 3 ]; do sleep 0.01; done\n'
        'echo "$(pwd) $STAGEBOOK_WORKSPACE $STAGEBOOK_SHARDS $(cat shared.txt)" $(ls) >> "$BASE/found"'
    )
    suite(place, 3, 3, run)
    done = place.run("run", "-j", "3")
    assert done.code == 0, done
    assert (place.base / "seen").read_text() == "before" * 3
    for line in (place.base / "found").read_text().splitlines():
        here, workspace, shards, number, *names = line.split(" ", 4)
        assert (here, shards) == (workspace, "3")
        assert names == [f"new-{number} shared.txt stagebook.yaml"]
    assert sorted(os.listdir(place.folder)) == [".stagebook", "shared.txt", "stagebook.yaml"]
    assert (place.folder / "shared.txt").read_text() == "before"


def test_a_shard_without_tests_is_skipped_and_counts_as_done(place: Place) -> None:
    suite(place, 2, 3)
    done = place.run("run", "--json")
    assert done.code == 0, done
    assert outcomes(done.json)["unit[shard=3]"] == "skip"
    assert reasons(done.json)["unit[shard=3]"] == "no tests for this shard"
    assert outcomes(done.json)["after"] == "success"


def test_a_suite_without_tests_is_an_error(place: Place) -> None:
    suite(place, 0)
    done = place.run("run", "--json")
    assert done.code == 4
    assert reasons(done.json)["unit[shard=1]"] == "unit[shard=list] has listed no test"


def test_a_list_that_fails_is_the_failure_and_no_shard_runs(place: Place) -> None:
    split = {"list": "echo t1; exit 3", "run": RUNNER, "shards": 2}
    place.pipeline({"unit": {"split": split}})
    done = place.run("run", "--json")
    assert done.code == 1
    assert reasons(done.json)["unit[shard=1]"] == "needs unit[shard=list] (failure)"
    assert place.ledger() == []


def test_files_are_a_suite_too(place: Place) -> None:
    for name in ("a", "b", "deep/c", "other"):
        place.write("", f"work/tests/{name}_test.sh" if name != "other" else "work/tests/other.sh")
    split = {"files": "tests/**/*_test.sh", "run": 'cat "$STAGEBOOK_SPLIT" >> "$BASE/ran"', "shards": 2}
    place.pipeline({"unit": {"split": split, "dir": "work"}})
    done = place.run("run")
    assert done.code == 0, done
    ran = (place.base / "ran").read_text().split()
    assert sorted(ran) == ["tests/a_test.sh", "tests/b_test.sh", "tests/deep/c_test.sh"]
    place.pipeline({"unit": {"split": {**split, "files": "nothing/*"}}})
    done = place.run("run", "--json")
    assert done.code == 4
    assert reasons(done.json)["unit[shard=1]"] == "no file matches nothing/*"


def test_a_failed_shard_keeps_its_workspace_until_the_next_run(place: Place) -> None:
    fails = RUNNER + '[ "$MATRIX_SHARD" != 2 ] || { echo mine > mine; exit 1; }'
    suite(place, run=fails, retry={"attempts": 2})
    done = place.run("run", "--json")
    assert done.code == 1
    assert workspaces(place) == ["unit%5Bshard=2%5D.2"], "the last attempt's only"
    [told] = [text for text in done.json["warnings"] if ".2" in text]
    path = Path(told.rpartition(": ")[2])
    assert told.startswith("unit[shard=2]: its workspace is kept until the next run: ")
    assert (path / "mine").read_text() == "mine\n"
    assert len([test for part in reported(place.folder / "report.xml").values() for test in part]) == 40
    suite(place)
    assert place.run("run").code == 0
    assert workspaces(place) == []


@pytest.mark.parametrize("how", ["run", "gc"])
def test_what_a_killed_run_left_goes_with_the_next_one_or_gc(place: Place, how: str) -> None:
    suite(place, run=f"{note('begin')}; sleep 963")
    command = place.start("run", "-j", "4")
    place.wait_for("unit[shard=2]")
    command.kill("engine")
    assert len(workspaces(place)) == 4
    run = place.run_ids()[-1]
    assert place.run("gc", "--dry-run", "--json").json["workspaces"] == [run]
    assert len(workspaces(place)) == 4
    if how == "run":
        suite(place)
        assert place.run("run").code == 0
    else:
        assert "removed 1 run's workspaces (" in place.run("gc").out
    assert workspaces(place) == []


def test_what_failed_again_is_what_it_was(place: Place) -> None:
    suite(place, run=RUNNER + '[ "$MATRIX_SHARD" != 2 ]')
    assert place.run("run").code == 1
    parts, before = dealt(place), len(place.ledger())
    suite(place)
    done = place.run("run", "--failed-of", "last")
    assert done.code == 0, done
    assert [line.word for line in place.ledger()[before:]] == parts[1], "though times are known by now"
    assert "unit: dealt as it was the last time, as not all of it was selected" in done.said


def test_a_shard_alone_of_a_suite_that_was_never_listed_is_an_error(place: Place) -> None:
    suite(place)
    done = place.run("run", "--only", "unit[shard=2]", "--json")
    assert done.code == 4
    assert "unit[shard=list] has not run, and this suite was never dealt before" in str(reasons(done.json))


@pytest.mark.parametrize(
    ("spoils", "said"),
    [
        ("echo '<testsuite>' > report.xml", "its report report.xml is damaged, and left out of the merged one: "),
        ("rm report.xml; mkfifo report.xml", "its report report.xml is not there: it is not a regular file"),
        ("rm report.xml", "its report report.xml is not there: No such file or directory"),
        ("ln -sf /etc/passwd report.xml", "its report report.xml is not there: "),
    ],
)
def test_a_report_that_cannot_be_read_is_named_and_left_out(place: Place, spoils: str, said: str) -> None:
    place.write("<testsuite>of an earlier run</testsuite>", "report.xml")
    suite(place, run=RUNNER + f'[ "$MATRIX_SHARD" != 2 ] || {{ {spoils}; }}')
    done = place.run("run", "--json")
    assert done.code == 0, done
    assert [text for text in done.json["warnings"] if text.startswith(f"unit[shard=2]: {said}")], done.json["warnings"]
    assert sorted(reported(place.folder / "report.xml")) == ["1", "3", "4"]


def test_a_shard_that_merges_late_takes_what_came_meanwhile(place: Place) -> None:
    """Shard 1 is stopped as it is about to merge; shard 4 begins, ends and merges; then shard 1 does."""
    suite(
        place,
        run=RUNNER + f"until [ -e {place.folder}/go ] || [ -e {place.folder}/go.$MATRIX_SHARD ]; do sleep 0.02; done",
    )
    command = place.start("run", "-j", "2", "--json")
    until(lambda: list(place.runs_folder.glob("*/split/unit.json")), "a suite that is dealt")
    with (place.runs_folder / place.run_ids()[-1] / "split" / "unit.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        inode = os.fstat(held.fileno()).st_ino
        (place.folder / "go.1").touch()
        merger = until(lambda: awaited_by(inode), "a shard that is about to merge")
        os.kill(merger, signal.SIGSTOP)
        until(lambda: processes.state_of(merger) in "tT", "a shard that stands still")
    (place.folder / "go").touch()
    merged = place.folder / "report.xml"
    until(lambda: merged.exists() and "4" in reported(merged), "a later shard's report")
    os.kill(merger, signal.SIGCONT)
    assert command.wait().code == 0
    assert sorted(reported(place.folder / "report.xml")) == ["1", "2", "3", "4"]


def awaited_by(inode: int) -> int | None:
    """The process that waits for the lock of a file."""
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "->" and words[6].endswith(f":{inode}"):
            return int(words[5])
    return None


def test_a_command_that_does_not_take_its_list_is_told(place: Place) -> None:
    cases = "".join(f"<testcase name='t{number}' time='1'/>" for number in (1, 2, 3))
    suite(place, 3, 2, f'echo "<testsuite>{cases}</testsuite>" > report.xml')
    done = place.run("run", "--json")
    assert done.code == 0, done
    assert any(
        "3 tests were reported by more than one shard; does `run` take" in text for text in done.json["warnings"]
    )


def test_what_the_folder_holds_beside_files_is_told(place: Place) -> None:
    os.mkfifo(place.folder / "pipe")
    suite(place, 2, 2)
    done = place.run("run", "--json")
    assert done.code == 0
    assert "unit[shard=1]: left out of its workspace: pipe (a FIFO)" in done.json["warnings"]


def test_a_workspace_that_cannot_be_made_is_an_error(place: Place) -> None:
    suite(place, 2, 2)
    (place.folder / ".stagebook").mkdir()
    (place.folder / ".stagebook" / "workspaces").write_text("no folder")
    done = place.run("run", "--json")
    assert done.code == 4
    assert "cannot make the workspace" in str(reasons(done.json)["unit[shard=1]"])


def test_workspaces_are_not_made_over_a_link(place: Place) -> None:
    suite(place, 2, 2)
    (place.folder / ".stagebook").mkdir()
    (place.folder / ".stagebook" / "workspaces").symlink_to(place.base)
    done = place.run("run", "--json")
    assert done.code == 4
    assert "workspaces" in done.json["errors"][0]["message"]


def test_time_is_up_while_a_workspace_is_made(place: Place) -> None:
    for number in range(300):
        place.write("x", f"data/{number}")
    suite(place, 2, 2, "sleep 964", timeout="1ms")
    split = json.loads((place.folder / "stagebook.yaml").read_text())
    split["stages"]["unit"]["timeout"] = "1ms"
    split["stages"]["unit"]["split"]["files"] = "data/*"
    del split["stages"]["unit"]["split"]["list"]
    place.write(json.dumps(split))
    done = place.run("run", "--json")
    assert done.code == 1
    assert {word for stage, word in outcomes(done.json).items() if stage != "after"} == {"timeout"}


def test_everything_else_that_a_stage_says_holds_for_each_shard(place: Place) -> None:
    split = {
        "list": "echo t1; echo t2",
        "run": 'echo "$MATRIX_SHARD $COLOUR $STAGEBOOK_CPUS" >> "$BASE/said"',
        "shards": 2,
    }
    unit = {
        "split": split, "env": {"COLOUR": "red"}, "resources": {"cpu": 1}, "locks": {"table": "exclusive"},
        "needs": "build", "when": "params.full == 'yes'",
    }  # fmt: skip
    place.pipeline(
        {"build": "true", "unit": unit, "after": {"run": "true", "needs": "unit"}}, params={"full": {"default": "yes"}}
    )
    done = place.run("run", "--json")
    assert done.code == 0, done
    assert sorted((place.base / "said").read_text().splitlines()) == ["1 red 1", "2 red 1"]
    assert by_stage(place.run("map", "--json").json)["unit[shard=1]"]["needs"] == ["unit[shard=list]"]
    done = place.run("run", "--param", "full=no", "--json")
    assert set(outcomes(done.json).values()) == {"skip", "success"}
    assert reasons(done.json)["unit[shard=1]"] == reasons(done.json)["unit[shard=list]"]
    dry = place.run("run", "--dry-run")
    assert dry.code == 0
    assert "would run 5 of 5" in dry.out
