"""G20: artifacts are whole, fresh and checked. R66 (no silent corruption), R67 (published atomically)."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from tests.door import waiting
from tests.door.place import Document, Done, Place, by_stage, noted, outcomes, reasons

#: One byte of `dist/app` becomes another, and its size and time stay.
FLIP = "python3 -c \"import os; s = os.stat('dist/app'); f = open('dist/app', 'r+b'); b = f.read(1)[0]; f.seek(0);" \
       " f.write(bytes([b ^ 1])); f.close(); os.utime('dist/app', ns=(s.st_atime_ns, s.st_mtime_ns))\""  # fmt: skip
BUILD = {"run": noted("mkdir -p dist; echo one > dist/app"), "outputs": ["dist/app"]}
USE = {"run": noted("cat dist/app"), "inputs": ["dist/app"]}


def failed(done: Done, stage: str, code: int = 1) -> str:
    assert done.code == code, done
    assert outcomes(done.json)[stage] == "failure", done
    return reasons(done.json)[stage] or ""


@pytest.mark.parametrize(
    ("harm", "what"),
    [(FLIP, " changed after build published it (expected "), ("rm dist/app", " is missing: build published it"),
     ("mv dist/app x; mkfifo dist/app", " is a FIFO")],
)  # fmt: skip
def test_r066_a_change_between_stages_is_found_and_names_the_producer(place: Place, harm: str, what: str) -> None:
    place.pipeline({"build": BUILD, "harm": {"run": harm, "needs": "build"}, "use": {**USE, "needs": "harm"}})
    done = place.run("run", "--json")
    assert failed(done, "use").startswith(f"integrity: dist/app{what}")
    assert place.began() == ["build"], "the consumer never started"
    assert by_stage(done.json)["use"]["attempts"][0]["log"] is None


def test_a_flip_is_found_though_the_producer_is_up_to_date_or_left_out(place: Place) -> None:
    place.write("x", "src")
    place.pipeline({
        "build": {**BUILD, "inputs": ["src"]},
        "harm": {"run": 'test -z "$HARM" || eval "$HARM"', "needs": "build"},
        "use": {**USE, "needs": "harm"},
    })  # fmt: skip
    assert place.run("run").code == 0
    done = place.run("run", "--json", env={"HARM": FLIP})
    assert outcomes(done.json)["build"] == "skip"
    assert "changed after build published it" in failed(done, "use")
    done = place.run("run", "--json", "--only", "use")
    assert "changed after build published it" in failed(done, "use")
    done = place.run("run", "--json")
    assert done.code == 0
    assert by_stage(done.json)["build"]["because"] == "output changed: dist/app"


def test_where_nothing_is_known_of_the_producer_a_file_is_just_an_input(place: Place) -> None:
    place.pipeline({"build": BUILD, "use": USE})
    place.write("from elsewhere", "dist/app")
    assert place.run("run", "--only", "use").code == 0


def test_r067_an_attempt_that_fails_publishes_nothing(place: Place) -> None:
    place.pipeline({
        "build": {"run": "mkdir -p dist; echo half > dist/app; exit 3", "outputs": ["dist/**"]},
        "after": {"run": noted("test ! -e dist/app"), "inputs": ["dist/app"], "join": "done"},
    })  # fmt: skip
    place.write("of before", "dist/more/old")
    done = place.run("run", "--json")
    assert outcomes(done.json) == {"build": "failure", "after": "success"}, done
    aside = place.runs_folder / done.json["run"] / "set-aside" / "build" / "1"
    assert (aside / "dist" / "app").read_text() == "half\n"
    assert (place.folder / "dist" / "more" / "old").read_text() == "of before"
    assert not (aside / "dist" / "more").exists()
    assert place.events("output.published") == []


def test_whole_reports_of_a_failed_attempt_stay_and_are_kept(place: Place) -> None:
    whole = '<?xml version="1.0"?><testsuites><testsuite name="x"/></testsuites>'
    script = f"echo '{whole}' > report.xml; echo '<testsuite>' > half.xml; echo '<html/>' > other.xml; exit $CODE"
    place.pipeline({"unit tests": {"run": script, "outputs": ["*.xml"], "retry": {"attempts": 2}}})
    done = place.run("run", "--json", env={"CODE": "1"})
    folder = place.runs_folder / done.json["run"]
    assert sorted(path.name for path in place.folder.glob("*.xml")) == ["report.xml"]
    assert [path.name for path in sorted((folder / "reports").iterdir())] == [
        "unit%20tests.1.xml", "unit%20tests.2.xml"
    ]  # fmt: skip
    report = folder / "reports" / "unit%20tests.1.xml"
    assert report.read_text().strip() == whole
    assert report.stat().st_mode & 0o777 == 0o600
    done = place.run("run", "--json", env={"CODE": "0"})
    assert (place.runs_folder / done.json["run"] / "reports" / "unit%20tests.1.xml").exists()
    assert (place.folder / "half.xml").exists()


@pytest.mark.parametrize("declared", ["report.xml", "reports/*.xml"])
def test_r066_a_declared_output_that_is_missing_is_a_failure(place: Place, declared: str) -> None:
    place.pipeline(
        {"unit": {"run": "mkdir -p out reports", "outputs": [declared]}, "next": {"run": noted(), "needs": "unit"}}
    )
    done = place.run("run", "--json")
    assert failed(done, "unit") == f"integrity: {declared} was not made"
    assert by_stage(done.json)["unit"]["attempts"][0]["exit"] == 0
    assert place.began() == []


def test_r066_of_two_that_write_one_path_at_once_none_is_believed(place: Place) -> None:
    def until(path: str) -> str:
        return f"until [ -e {path} ]; do sleep 0.01; done"

    place.pipeline({
        "a": {"run": f"echo a > made; mv made same; {until('b.wrote')}", "outputs": ["sa*"]},
        "after": {"run": "touch a.published", "needs": "a"},
        "b": {"run": f"{until('same')}; echo b > same; touch b.wrote; {until('a.published')}", "outputs": ["*me"]},
    })  # fmt: skip
    assert failed(place.run("run", "--json", "-j", "3"), "b") == "integrity: same was written by both a and b"


def test_r066_two_stages_that_write_one_path_are_both_named(place: Place) -> None:
    place.pipeline({
        "a": {"run": "echo a > out.txt", "outputs": ["*.txt"]},
        "b": {"run": "echo b > out.txt; echo b > b.txt", "outputs": ["*.txt"], "needs": "a"},
    })  # fmt: skip
    assert failed(place.run("run", "--json"), "b") == "integrity: out.txt was written by both a and b"
    place.pipeline({
        "a": {"run": "echo a > a.txt", "outputs": ["*.txt"]},
        "b": {"run": "echo b > b.txt", "outputs": ["*.txt"], "needs": "a"},
    })  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 0, done
    assert [file["path"] for file in by_stage(done.json)["b"]["published"]["files"]] == ["b.txt"]


def test_cells_of_a_matrix_make_and_read_their_own_files(place: Place) -> None:
    place.write("ok", "r.xml")
    cells = {"os": ["a", "b*", "c", "d"]}
    make = {"matrix": cells, "run": 'cp r.xml "out-$MATRIX_OS.xml"', "outputs": ["out-$MATRIX_OS.*"]}
    read = {"matrix": cells, "run": 'test -e "out-$MATRIX_OS.xml"', "inputs": ["out-${MATRIX_OS}.xml"]}
    place.pipeline({"unit": make, "report": read})
    for _ in range(3):
        done = place.run("run", "--json", "-j", "4", "--force")
        assert done.code == 0, done
    assert by_stage(done.json)["unit[os=b*]"]["published"]["files"][0]["path"] == "out-b*.xml"
    assert [*outcomes(place.run("run", "--json").json).values()].count("skip") == 4, "those that read"


def test_an_input_that_changes_while_its_stage_runs_is_a_failure(place: Place) -> None:
    place.write("a", "src/a.py")
    place.pipeline({"lint": {"run": noted("echo b >> src/a.py"), "inputs": ["src/*.py"]}})
    assert failed(place.run("run", "--json"), "lint") == "integrity: src/a.py changed while lint ran"
    place.pipeline({"lint": {"run": "cp src/a.py x; mv x src/a.py; echo > src/new.py", "inputs": ["src/*.py"]}})
    assert place.run("run").code == 0, "the same content again, and what is new, is no change"
    place.pipeline({"lint": {"run": "rm src/a.py", "inputs": ["src/*.py"]}})
    assert "src/a.py is gone" in failed(place.run("run", "--json"), "lint")


def test_what_a_failed_publication_leaves_is_tried_again_as_any_failure(place: Place) -> None:
    script = noted('test "$STAGEBOOK_ATTEMPT" = 1 || echo x > out')
    place.pipeline({"make": {"run": script, "outputs": ["out"], "retry": {"attempts": 3}}})
    done = place.run("run", "--json")
    assert done.code == 0
    assert [attempt["reason"] for attempt in by_stage(done.json)["make"]["attempts"]] == [
        "integrity: out was not made", None
    ]  # fmt: skip
    assert by_stage(done.json)["make"]["flaky"] is True


def test_what_a_failed_producer_could_not_have_set_aside_is_refused_later_too(place: Place) -> None:
    fails = {"run": "echo half > big; exit 1", "outputs": ["big"], "allow-failure": True}
    place.pipeline({"p": fails, "c": {"run": noted("cat big"), "inputs": ["big"]}})
    done = place.run("run", "--json", env={"STAGEBOOK_FAULT": "artifact.aside:1+:ENOSPC"})
    assert failed(done, "c") == "integrity: big is not whole: p did not publish it", done
    done = place.run("run", "--json", "--only", "c")
    assert failed(done, "c") == "integrity: big is not whole: the last attempt of p did not publish it"
    assert place.began() == []


def test_a_whole_report_of_a_failed_producer_may_be_read(place: Place) -> None:
    fails = {"run": "echo '<testsuite></testsuite>' > r.xml; exit 1", "outputs": ["r.xml"], "allow-failure": True}
    place.pipeline({"p": fails, "c": {"run": noted("cat r.xml"), "inputs": ["r.xml"]}})
    assert outcomes(place.run("run", "--json").json)["c"] == "success"
    assert outcomes(place.run("run", "--json", "--only", "c").json)["c"] != "failure"


# Killed -------------------------------------------------------------------------------------------------------------


def test_a_kill_in_the_middle_of_a_write_leaves_nothing_that_looks_whole(place: Place) -> None:
    slow = "mkdir -p dist; printf ha > dist/app; sleep 30"
    place.pipeline({"build": {**BUILD, "run": noted(slow)}, "use": USE})
    command = place.start("run")
    place.wait_for("build")
    waiting.until((place.folder / "dist" / "app").exists, "half of it")
    command.kill("engine")
    assert failed(place.run("run", "--json", "--only", "use"), "use") == (
        "integrity: dist/app is not whole: the last attempt of build did not publish it"
    )
    place.pipeline({"build": BUILD, "use": USE})
    done = place.run("run", "--json")
    assert outcomes(done.json) == {"build": "success", "use": "success"}


POINTS = [
    f"{point}:{number}"
    for point, times in [("artifact.verify", 1), ("artifact.hash", 2), ("artifact.publish", 3), ("artifact.aside", 2),
                         ("artifact.report", 1), ("cache.write", 7), ("journal.sync", 3), ("journal.append", 6)]
    for number in range(1, times + 1)
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_r067_killed_at_any_point_of_publishing_consumers_see_whole_files_only(place: Place, point: str) -> None:
    place.write("source", "src")
    report = "echo '<testsuite></testsuite>' > dist/r.xml"
    place.pipeline({
        "flaky": {"run": 'echo x > junk; test "$STAGEBOOK_ATTEMPT" -ge 2', "outputs": ["junk"],
                  "retry": {"attempts": 2}},
        "build": {"run": noted(f"mkdir -p dist; cat src src > dist/app; {report}"), "inputs": ["src"],
                  "outputs": ["dist/**"], "needs": "flaky"},
        "use": {"run": noted('cp dist/app used; test "$(cat used)" = sourcesource'), "inputs": ["dist/app"],
                "outputs": ["used"]},
    })  # fmt: skip
    done = place.run("run", env={"STAGEBOOK_FAULT": f"{point}:KILL"})
    assert done.code in (4, 137, -9), (point, done)
    assert place.run("run", "--only", "use").code in (0, 1), "never half a file: it is whole, missing, or refused"
    done = place.run("run", "--resume", "--json")
    assert done.code == 0, (point, done)
    assert (place.folder / "used").read_text() == "sourcesource"
    done = place.run("run", "--json")
    assert done.code == 0
    assert outcomes(place.run("run", "--json").json)["use"] == "skip"
    assert place.left(3) == []


def test_an_engine_that_is_killed_takes_its_hashing_child_along(place: Place) -> None:
    place.pipeline({"big": {"run": "truncate -s 12G big", "outputs": ["big"]}})
    command = place.start("run")
    waiting.until((place.folder / "big").exists, "the file")
    time.sleep(0.3)
    command.kill("engine")
    assert place.left(3) == []


def test_publishing_can_be_cancelled_and_times_out(place: Place) -> None:
    place.pipeline({"big": {"run": noted("truncate -s 12G big"), "outputs": ["big"]}})
    command = place.start("run", "--json")
    place.wait_for("big", "end")
    time.sleep(0.3)
    began = time.monotonic()
    command.send(signal.SIGINT)
    done = command.wait()
    assert time.monotonic() - began < 1.5
    assert done.code == 130
    assert outcomes(done.json) == {"big": "cancellation"}
    assert not (place.folder / "big").exists()
    place.pipeline({"big": {"run": "truncate -s 12G big", "outputs": ["big"], "timeout": "500ms"}})
    done = place.run("run", "--json")
    assert outcomes(done.json) == {"big": "timeout"}
    assert place.left(3) == []


# Full, read-only, many, side by side --------------------------------------------------------------------------------


def test_a_store_that_cannot_be_written_is_a_warning(place: Place) -> None:
    place.pipeline({"build": BUILD, "use": USE})
    done = place.run("run", "--json", env={"STAGEBOOK_FAULT": "cache.write:1+:ENOSPC"})
    assert done.code == 0, done
    assert any("No space left on device" in text for text in done.json["warnings"])
    assert place.run("run", "--only", "use").code == 0


@pytest.mark.parametrize(("point", "code"), [("artifact.publish", 4), ("artifact.verify", 4), ("artifact.hash", 4)])
def test_trouble_with_the_disk_is_an_error_and_can_be_resumed(place: Place, point: str, code: int) -> None:
    place.write("x", "src")
    place.pipeline({"build": {**BUILD, "inputs": ["src"]}, "use": USE})
    done = place.run("run", "--json", env={"STAGEBOOK_FAULT": f"{point}:1+:EIO"})
    assert done.code == code, done
    assert "Input/output error" in (reasons(done.json)["build"] or "")
    done = place.run("run", "--resume", "--json")
    assert done.code == 0, done


def many(place: Place, count: int) -> Document:
    script = (
        f"import os; os.makedirs('out', exist_ok=True); [open(f'out/{{n}}', 'w').write(str(n)) for n in range({count})]"
    )
    place.pipeline(
        {
            "make": {"cmd": ["python3", "-c", script], "outputs": ["out/**"]},
            "use": {"run": "true", "inputs": ["out/**"]},
        }
    )
    done = place.run("run", "--json", within_s=300)
    assert done.code == 0, done
    assert place.events("output.published")[0]["count"] == count
    (place.folder / "out" / "7").write_text("8")
    done = place.run("run", "--json", "--only", "use", within_s=300)
    assert "integrity: out/7 changed after make published it" in failed(done, "use")
    document: Document = done.json
    return document


def test_thousands_of_outputs(place: Place) -> None:
    many(place, 5000)


@pytest.mark.nightly
def test_a_hundred_thousand_outputs(place: Place) -> None:
    many(place, 100_000)


def test_two_runs_that_publish_one_path_at_once_do_not_mix(place: Place) -> None:
    place.pipeline({
        "build": {"run": "echo $WHO > out; sleep 0.2; test $(cat out) = $WHO", "outputs": ["out"]},
        "use": {"run": "test $(cat out) = $WHO", "inputs": ["out"]},
    })  # fmt: skip
    for _ in range(5):
        runs = [place.start("run", "--json", env={"WHO": who}) for who in ("one", "two")]
        for run in runs:
            done = run.wait()
            word = by_stage(done.json)["use"]
            assert word["outcome"] in ("success", "failure", "skip"), done
            if word["outcome"] == "failure":  # it was seen before the start, or by the stage itself: never overlooked
                assert word["reason"].startswith(("integrity: ", "exit ")), word


def test_a_clock_that_goes_back_hides_no_change(place: Place, tmp_path: Path) -> None:
    place.write("a", "src")
    place.pipeline({"one": {"run": "true", "inputs": ["src"]}})
    assert place.run("run").code == 0
    place.write("b", "src")
    os.utime(place.folder / "src", (1, 1))
    done = place.run("run", "--json", prefix=("faketime", "-f", "-1d"))
    assert outcomes(done.json) == {"one": "success"}


def test_what_is_wrong_before_a_start_is_not_tried_again(place: Place) -> None:
    harm = {"run": "echo other > dist/app", "needs": "build"}
    use = {**USE, "needs": "harm", "retry": {"attempts": 5, "backoff": "30s"}}
    place.pipeline({"build": BUILD, "harm": harm, "use": use})
    done = place.run("run", "--json")
    assert "changed after build published it" in failed(done, "use")
    assert len(by_stage(done.json)["use"]["attempts"]) == 1
    assert place.run("run", "--resume").code in (0, 1), "the journal is replayed by the same rules"


def test_what_a_killed_attempt_left_is_not_published_by_the_next(place: Place) -> None:
    script = noted("mkdir -p dist; test -e go || { echo half > dist/part; sleep 30; }; echo whole > dist/app")
    place.pipeline({"build": {"run": script, "outputs": ["dist/**"]}})
    for words in (("run", "--resume"), ("run",)):
        command = place.start("run")
        waiting.until((place.folder / "dist" / "part").exists, "half of it")
        command.kill("engine")
        place.write("", "go")
        done = place.run(*words, "--json")
        assert done.code == 0, done
        files = by_stage(done.json)["build"]["published"]["files"]
        assert [file["path"] for file in files] == ["dist/app"]
        assert len(list((place.runs_folder / done.json["run"] / "set-aside").glob("*/*/dist/part"))) == 1
        (place.folder / "go").unlink()


def test_a_child_that_reads_many_inputs_knows_what_those_published_that_are_up_to_date(place: Place) -> None:
    place.write("x", "src")
    place.pipeline({
        "build": {"run": "mkdir -p dist; echo one > dist/app", "inputs": ["src"], "outputs": ["dist/app"]},
        "use": {"run": noted('test -z "$HARM" || exit 1'), "inputs": ["dist/**"], "outputs": ["made/**"]},
    })  # fmt: skip
    assert place.run("run").code == 1, "it makes nothing"
    done = place.run("run", "--json", env={"HARM": "1"})
    assert outcomes(done.json) == {"build": "skip", "use": "failure"}
    assert reasons(done.json)["use"] == "exit 1", done
