"""`stagebook experiment`: a comparison by real runs, from the first one to the report."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any, Callable

import pytest
from tests.door import waiting
from tests.door.place import Place, noted

INDEPENDENT = {"a": "sleep 0.12", "b": "sleep 0.12"}
CHAIN = {"a": 'test -z "$STAGEBOOK_EXPERIMENT"', "b": {"run": "true", "needs": "a"}}


def folder(place: Place) -> Path:
    """The directory of the one experiment there is."""
    (found,) = (place.folder / ".stagebook" / "experiments").iterdir()
    return found


def ledger(place: Place) -> list[dict[str, Any]]:
    """The whole lines of its record so far."""
    found = list((place.folder / ".stagebook").glob("experiments/*/pairs.jsonl"))
    return [json.loads(line) for line in found[0].read_bytes().split(b"\n")[:-1]] if found else []


def test_r106_two_independent_stages_gain_and_the_report_has_the_same_figures(place: Place) -> None:
    place.pipeline(INDEPENDENT, name="release")
    done = place.run("experiment", "--seed", "1", "--json")
    assert done.code == 0, done
    told = done.json
    assert told["pipeline"] == "release"
    assert (told["decision"], told["stopped"]) == ("adopt", "shown")
    assert told["verdict"].endswith(": adopt")
    assert [arm["name"] for arm in told["arms"]] == ["sequential", "parallel"]
    assert 0.3 < told["ratio"]["median"] < 0.9 and told["ratio"]["high"] < 1 and told["ratio"]["confidence"] == 0.95
    assert [arm["failures"] for arm in told["arms"]] == [0, 0]
    assert {arm["runs"] for arm in told["arms"]} == {told["pairs"]}
    assert told["report"] == str(folder(place) / "report.html")
    for name in ("report", "markdown"):
        text = Path(told[name]).read_text()
        assert told["verdict"].split(" [")[0] in text
        assert f"seed {told['seed']}" in text and told["machine"]["host"] in text
    assert len(ledger(place)) == len(place.run_ids()) == 2 + 2 * told["pairs"]

    again = place.run("experiment", "report", "--json")
    assert again.json == told
    assert told["verdict"] in place.run("experiment", "report", told["experiment"][:20]).out


def test_r107_a_chain_shows_no_difference_and_every_run_is_marked(place: Place) -> None:
    place.pipeline(CHAIN)
    done = place.run("experiment", "--pairs", "3", "--seed", "4")
    assert done.code == 0, done
    assert done.out.startswith("no difference shown (3 pairs)")
    assert "pair 3 of 3: " in done.err
    for record in ledger(place):
        mark = json.loads((place.runs_folder / record["run"] / "experiment").read_text())
        assert mark["experiment"] == folder(place).name and mark["arm"] == record["arm"]
        assert place.journal(record["run"])[0]["experiment"] == folder(place).name


def test_the_order_is_random_by_the_seed_and_warm_ups_are_apart(place: Place) -> None:
    place.pipeline({"only": "true"})
    orders = []
    for seed in ("1", "1", "2"):
        done = place.run("experiment", "--pairs", "4", "--seed", seed, "--warm-up", "2", "--json")
        runs = done.json["runs"]
        assert [run["kind"] for run in runs] == ["warm-up"] * 4 + ["pair"] * 8
        orders.append([run["arm"] for run in runs])
    assert orders[0] == orders[1] != orders[2]
    assert {run["arm"] for run in runs[::2]} == {"sequential", "parallel"}


def test_arms_may_be_other_files_and_more_than_two(place: Place) -> None:
    place.pipeline({"only": "sleep 0.02"})
    place.write('{"stages": {"other": "sleep 0.02"}}', "other.yaml")
    words = ["--arm", "one=-j 1", "--arm", "two=other.yaml -j 2", "--arm", "three=-j 3"]
    told = place.run("experiment", *words, "--pairs", "2", "--warm-up", "0", "--json").json
    assert [arm["jobs"] for arm in told["arms"]] == [1, 2, 3]
    assert [each["arm"] for each in told["comparisons"]] == ["two", "three"]
    assert told["comparisons"][0]["failure_rate"]["confidence"] == 0.975
    by_arm = {run["arm"]: run["run"] for run in told["runs"]}
    assert [stage["stage"] for stage in place.show(by_arm["two"])["stages"]] == ["other"]


def test_a_part_runs_alone_and_its_needs_once(place: Place) -> None:
    place.pipeline({
        "prepare": {"run": noted("touch ready"), "outputs": ["ready"]},
        "a": {"run": noted("test -f ready"), "needs": "prepare"},
        "b": {"run": noted("test -f ready"), "needs": "prepare"},
        "deploy": {"run": noted(), "needs": ["a", "b"]},
    })  # fmt: skip
    done = place.run("experiment", "--part", "a,b", "--pairs", "2", "--json")
    assert done.code == 0, done
    assert done.json["part"] == ["a", "b"]
    began = place.began()
    assert {stage: began.count(stage) for stage in ("prepare", "a", "b", "deploy")} == {
        "prepare": 1, "a": 6, "b": 6, "deploy": 0,
    }  # fmt: skip


def test_without_words_the_part_with_the_largest_gain_is_proposed(place: Place) -> None:
    place.pipeline({
        "first": {"run": "true", "duration": "10ms"},
        "a": {"run": "sleep 0.1", "needs": "first", "duration": "100ms"},
        "b": {"run": "sleep 0.1", "needs": "first", "duration": "100ms"},
        "publish": {"run": "false", "needs": ["a", "b"], "duration": "10ms"},
    })  # fmt: skip
    done = place.run("experiment", "--pairs", "2", "--json")
    assert done.code == 0, done
    assert done.json["part"] == ["a", "b"]
    assert done.json["proposed"]["saves_s"] == pytest.approx(0.1, abs=0.02)
    assert "tries a, b together" in done.err
    assert [arm["predicted_s"] for arm in done.json["arms"]] == [
        pytest.approx(0.2, abs=0.02),
        pytest.approx(0.1, abs=0.02),
    ]


def test_where_no_part_is_known_to_gain_it_is_said_that_the_whole_file_runs(place: Place) -> None:
    place.pipeline({"a": {"run": "true"}, "b": {"run": "true", "needs": "a"}})
    done = place.run("experiment", "--pairs", "1", "--json")
    assert done.code == 0 and (done.json["part"], done.json["proposed"]) == ([], None)
    assert "tries the whole file, every stage of it many times" in " ".join(done.err.split()), done.err


def test_cold_runs_everything_and_warm_does_not(place: Place) -> None:
    place.write("x", "in")
    place.pipeline({"only": {"run": noted("cp in out"), "inputs": ["in"], "outputs": ["out"]}})
    assert place.run("experiment", "--pairs", "1", "--warm-up", "0", "--cache", "warm").code == 0
    assert len(place.began()) == 1
    assert place.run("experiment", "--pairs", "1", "--warm-up", "0").code == 0
    assert len(place.began()) == 3


@pytest.mark.parametrize(
    ("stages", "words", "said"),
    [
        ({"deploy": "true"}, [], "an experiment would run `deploy` many times"),
        ({"x": {"run": "true", "retry-safe": False}}, [], "retry-safe: false"),
        ({"x": "true"}, ["--arm", "a=--nope", "--arm", "b="], "--arm a: unknown option '--nope'"),
        ({"x": "true"}, ["--arm", "a=--force", "--arm", "b="], "--cache cold does that"),
        ({"x": "true"}, ["--arm", "a=-j 2"], "at least two arms"),
        ({"x": "true"}, ["--arm", "a=--only y", "--arm", "b="], "no stage `y`"),
        ({"x": "true"}, ["--part", "y"], "no stage `y`"),
        ({"build": "true"}, ["--repeat", "biuld"], "--repeat: no stage `biuld`, did you mean `build`?"),
        ({"x": "true", "y": "curl -X POST http://h"}, [], "may act outside (its command: curl POST)"),
        ({"x": "true", "y": "curl -d a http://h"}, [], "--repeat 'y' says that it may"),
        ({"x": {"run": "true", "needs": "deploy"}, "deploy": "true"}, ["--part", "x"], "would run `deploy` once"),
        ({"x": "true"}, ["--skip", "x"], "nothing is left to run"),
        ({"x": "true"}, ["--arm", "a=gone.yaml", "--arm", "b="], "gone.yaml"),
        ({"x": "true"}, ["--pairs", "0"], "at least 1"),
        ({"x": "true"}, ["--seed", "-1"], "--seed must be at least 0"),
        ({"x": "true"}, ["--resume"], "no experiment"),
        ({"x": "true"}, ["--resume", "x", "--seed", "3"], "--seed"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_runs(place: Place, stages: Any, words: list[str], said: str) -> None:
    place.pipeline(stages)
    done = place.run("experiment", "stagebook.yaml", *words)
    assert done.code == 2, done
    assert said in done.err and "Traceback" not in done.err
    assert place.run_ids() == []


def test_what_acts_outside_runs_if_a_person_says_so(place: Place) -> None:
    place.pipeline({"deploy": "true"})
    assert place.run("experiment", "stagebook.yaml", "--repeat", "deploy", "--pairs", "1").code == 0


def test_what_a_part_needs_and_acts_outside_runs_if_a_person_says_so(place: Place) -> None:
    place.pipeline({"x": {"run": noted("true"), "needs": "deploy"}, "deploy": noted("true")})
    assert place.run("experiment", "--part", "x", "--repeat", "deploy", "--pairs", "1").code == 0
    assert place.began().count("deploy") == 1


def test_arms_that_do_not_do_the_same_work_are_never_said_to_be_better(place: Place) -> None:
    place.pipeline({"a": "sleep 0.15", "b": "true"})
    done = place.run("experiment", "--arm", "all=", "--arm", "less=--skip a", "--seed", "1", "--json")
    assert done.code == 0, done
    assert done.json["stopped"] == "shown" and done.json["decision"] == "open"
    assert done.json["comparisons"][0]["work"] == {"all": ["a"], "less": []}
    assert done.json["verdict"].endswith("but they do not do the same work: only all runs a")
    assert "only all runs a" in Path(done.json["report"]).read_text()
    again = place.run("experiment", "report", "--json").json
    assert again["verdict"] == done.json["verdict"]


def test_a_stage_that_fails_whatever_the_arm_is_named(place: Place) -> None:
    place.pipeline({"a": "true", "b": "exit 3"})
    done = place.run("experiment")
    assert done.code == 1, done
    assert "sequential failed in all 3 runs and parallel failed in all 3 runs" in done.out
    assert "b failed in every run of every arm" in done.out


def test_an_arm_that_always_fails_gives_no_ratio_and_exit_1(place: Place) -> None:
    place.pipeline({"a": "test $STAGEBOOK_STAGE = a", "b": "exit 3"})
    done = place.run("experiment", "--arm", "good=--skip b", "--arm", "bad=", "--json")
    assert done.code == 1, done
    assert done.json["ratio"] is None
    assert done.json["verdict"] == "no ratio: bad failed in all 3 runs"
    assert done.json["arms"][1]["failed_stages"] == {"b": 2}
    assert "bad failed in all 3 runs" in Path(done.json["report"]).read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=["KILL", "INT", "TERM"])
def test_an_interrupted_experiment_goes_on_where_it_stopped(place: Place, number: int) -> None:
    stop = place.base / "stop"
    place.pipeline({"only": noted(f"test ! -e {stop} || sleep 60")})
    command = place.start("experiment", "--pairs", "4", "--warm-up", "1", "--seed", "5", "--json")
    waiting.until(lambda: len(ledger(place)) >= 4, "the first pair")
    stop.touch()
    waiting.until(lambda: len(place.began()) > len([each for each in place.ledger() if each.word == "end"]), "a run")
    command.send(number)
    done = command.wait()
    assert done.code == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[signal.Signals(number)]
    assert place.left(10) == []
    before = ledger(place)
    if number != signal.SIGKILL:
        assert done.json["stopped"] == "interrupted" and done.json["pairs"] >= 1
        assert "Traceback" not in done.err
    stop.unlink()
    count = len(place.run_ids())  # the run that was broken off is no run of its own that would be gone on with
    assert place.run("run", "--resume").code == 0
    assert len(place.run_ids()) == count + 1

    done = place.run("experiment", "--resume", "--json")
    assert done.code == 0, done
    assert (done.json["pairs"], done.json["stopped"]) == (4, "most")
    assert ledger(place)[: len(before)] == before
    counted = [run for run in done.json["runs"] if run["kind"] == "pair"]
    assert len(counted) == 8 + done.json["broken_off"]
    assert len([run for run in done.json["runs"] if run["kind"] == "warm-up"]) == 2

    more = place.run("experiment", "--resume", "--pairs", "5", "--json")
    assert (more.json["pairs"], more.json["pairs_most"]) == (5, 5)
    assert ledger(place)[: len(done.json["runs"])] == done.json["runs"]


def test_a_changed_file_is_not_gone_on_with(place: Place) -> None:
    place.pipeline({"only": "true"})
    assert place.run("experiment", "--pairs", "1").code == 0
    place.pipeline({"only": "sleep 0"})
    done = place.run("experiment", "--resume", "--pairs", "2")
    assert done.code == 2
    assert "has changed since experiment" in done.err


def test_a_file_that_is_changed_on_the_way_ends_it_and_what_was_measured_stands(place: Place) -> None:
    place.pipeline({"a": "[ $(ls .stagebook/runs | wc -l) -lt 5 ] || echo '# changed' >> stagebook.yaml"})
    done = place.run("experiment", "stagebook.yaml", "--pairs", "9", "--seed", "1", "--json")
    assert done.code == 2, done
    assert "stagebook.yaml was changed while the experiment went on" in done.said
    assert len(ledger(place)) == 5


@pytest.mark.parametrize(
    "damage",
    [
        '"wall_s": NaN',
        '"wall_s": null',
        '"wall_s": -1',
        '"wall_s": 1e300',
        '"others_cores": NaN',
        '"arm": 3',
        '"try": null',
    ],
)
def test_a_damaged_record_is_named_and_nothing_is_concluded_from_it(place: Place, damage: str) -> None:
    place.pipeline(CHAIN)
    assert place.run("experiment", "--pairs", "1", "--seed", "4").code == 0
    path = folder(place) / "pairs.jsonl"
    name = damage.partition(":")[0]
    lines = [re.sub(name + r": [^,]*", damage, line) for line in path.read_text().splitlines(keepends=True)]
    path.write_text("".join(lines))
    for words in (["report"], ["--resume"], ["--resume", "--json"]):
        done = place.run("experiment", *words)
        assert done.code == 4, done
        assert "pairs.jsonl:1 is damaged" in done.said


def test_a_damaged_set_up_is_named(place: Place) -> None:
    place.pipeline(CHAIN)
    assert place.run("experiment", "--pairs", "1", "--seed", "4").code == 0
    path = folder(place) / "experiment.json"
    whole = json.loads(path.read_text())
    for set_up in ({"v": 1}, {**whole, "arms": []}, {**whole, "seed": -1}, {**whole, "confidence": 7.0}):
        path.write_text(json.dumps(set_up))
        done = place.run("experiment", "report")
        assert done.code == 4 and "experiment.json is damaged" in done.said, done


def test_a_run_that_was_begun_of_a_pair_is_not_told_as_the_pair_before(place: Place) -> None:
    place.pipeline({"a": "true"})
    assert place.run("experiment", "--pairs", "2", "--seed", "4").code == 0
    path = folder(place) / "pairs.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    whole, half = [json.loads(line) for line in lines[2:4]], json.loads(lines[4])
    path.write_text("".join(lines[:4]) + json.dumps({**half, "wall_s": 777.0}) + "\n")
    done = place.run("experiment", "--resume")
    assert done.code == 0
    [told] = [line for line in done.err.splitlines() if line.startswith("pair 1 of 2: ")]
    assert "12 m 57 s" not in told and len(whole) == 2


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_full_disk_is_said_and_what_was_there_is_kept(place: Place, error: str) -> None:
    place.pipeline({"only": "true"})
    done = place.run("experiment", "--pairs", "2", env={"STAGEBOOK_FAULT": f"experiment.append:4:{error}"})
    assert done.code == 4, done
    assert "pairs.jsonl" in done.err and "Traceback" not in done.said
    assert len(ledger(place)) == 3
    done = place.run("experiment", "--resume", "--json")
    assert done.code == 0, done
    assert (done.json["pairs"], done.json["broken_off"]) == (2, 1)


def test_hostile_names_stay_text(place: Place) -> None:
    stage = "<img src=x onerror=alert(1)> | `x`"
    place.pipeline({stage: "exit 1"}, name="</title><script>alert(1)</script>")
    done = place.run("experiment", "--arm", "<b>one</b>=", "--arm", "two | `x`=-j 1", "--pairs", "1", "--json")
    assert done.code == 1, done
    page = Path(done.json["report"]).read_text()
    assert "<script" not in page and "<img" not in page and "<b>one" not in page
    assert "&lt;b&gt;one&lt;/b&gt;" in page
    marked = Path(done.json["markdown"]).read_text()
    assert "\\<script" in marked and "<script" not in marked.replace("\\<", "")
    assert "\x1b" not in place.run("experiment", "report").out


def test_the_page_stands_alone_on_a_wide_and_on_a_narrow_screen(place: Place, open_page: Callable[..., Any]) -> None:
    place.pipeline({"a": "sleep 0.02", "b" * 60: "sleep 0.02"}, name="release")
    done = place.run("experiment", "--arm", f"{'one' * 12}=--sequential", "--arm", "two=", "--pairs", "3", "--json")
    for width in (1280, 360):
        window = open_page(Path(done.json["report"]), width=width)
        assert window.text("h1") == done.json["verdict"]
        assert window.page.evaluate("document.documentElement.scrollWidth") <= width
        assert window.page.locator("svg.pic").count() == 3
