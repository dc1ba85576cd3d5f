"""`stagebook plan` as a user calls it: over declared durations, over runs that were made up, over one that it makes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.door.place import Done, Place
from tests.plan.past import DAY_US, HOUR_US, Did, Past

from stagebook.formats.native.read import load

ROOT = Path(__file__).resolve().parents[2]
TWO = "version: 1\nstages:\n  unit: {run: 'true', duration: 10m}\n  integration: {run: 'true', duration: 20m}\n"
TEN = "version: 1\nstages:\n" + "".join(f"  s{at}: {{run: 'true', duration: 1m}}\n" for at in range(10))
SERVICES = """\
version: 1
pools: {db: 5}
stages:
  build: {run: 'true', duration: 1m}
  service: {run: 'true', needs: build, duration: 1m, matrix: {name: [a, b, c, d]}, resources: {pools: {db: 1}}}
"""


def plan(place: Place, *words: str, code: int = 0) -> dict[str, Any]:
    done = place.run("plan", "--json", "--quiet", *words)
    assert (done.code, done.err) == (code, ""), done
    return done.json


def told(place: Place, *words: str, code: int = 0) -> str:
    """What people read, as one line."""
    done = place.run("plan", *words)
    assert done.code == code, done
    return " ".join(done.out.split())


def past(place: Place, times: int, *did: Did) -> None:
    pipeline, runs = load(str(place.folder / "stagebook.yaml"), None), Past(place.folder)
    for number in range(times):
        runs.run(pipeline, time.time_ns() // 1000 - (number + 1) * DAY_US - HOUR_US, *did)


# What is known ----------------------------------------------------------------------------------------------------


def test_r089_the_sum_the_path_and_the_slack(place: Place) -> None:
    place.write(TWO)
    found = plan(place)
    assert (found["sequential_s"], found["critical_path"], found["critical_path_s"]) == (1800, ["integration"], 1200)
    assert [stage["slack_s"] for stage in found["profile"]["stages"]] == [600, 0]
    assert found["profile"]["source"] == "declared"
    assert (found["optimum"], found["sla"], found["sweep"][0]["cost"]) == (None, None, None)


def test_r090_a_sweep_shows_where_more_jobs_stop_to_pay(place: Place) -> None:
    place.write(TEN)
    found = plan(place, "--jobs", "4,1,2,8,2")
    assert [row["jobs"] for row in found["sweep"]] == [1, 2, 4, 8]
    assert found["sweep"][0]["speedup"] == 1.0 and found["sweep"][1]["gain"] > 0.3
    text = told(place, "--jobs", "1,2,4,8")
    assert f"knee: {found['knee']['jobs']} (8 " in text and "p50" in text and "p95" in text


def test_without_a_run_it_says_what_it_does_not_know_and_starts_nothing(place: Place) -> None:
    text = "version: 1\nstages:\n  a: echo x > made\n  b: 'true'\n"
    file = place.write(text)
    assert "not known: no run of this file is on record" in told(place)
    assert place.run_ids() == [] and not (place.folder / "made").exists() and file.read_text() == text


def test_declared_durations_are_taken_to_keep_a_core_busy_and_that_is_said(place: Place) -> None:
    stages = "".join(f"  s{at}: {{run: 'true', duration: 60s}}\n" for at in range(32))
    place.write(f"version: 1\nstages:\n{stages}")
    found = plan(place)["recommendation"]
    assert found["unknown"] == 32 and found["if_waiting"] == {"jobs": 32, "makespan_s": 60.0}
    text = told(place)
    assert "~1 m 00 s with 32 jobs if stages only wait." in text
    assert "what 32 stages use is not known; each is taken to keep a core busy" in text


def test_what_is_reserved_is_what_is_used_where_no_run_tells(place: Place) -> None:
    stages = "".join(f"  s{at}: {{run: 'true', duration: 60s, resources: {{cpu: 0.01}}}}\n" for at in range(32))
    place.write(f"version: 1\nstages:\n{stages}")
    found = plan(place, "--jobs", "32")
    assert (found["recommendation"]["unknown"], found["recommendation"]["if_waiting"]) == (0, None)
    assert found["sweep"][0]["makespan_s"] < 70
    assert "not known; each is taken" not in told(place)


def test_what_is_reserved_beyond_this_machine_does_not_stretch_a_declared_duration(place: Place) -> None:
    place.write(
        "version: 1\nstages:\n  a: {run: 'true', duration: 10m, resources: {cpu: 400}}\n"
        "  b: {run: 'true', needs: a, duration: 10m, resources: {cpu: 800}}\n"
    )
    found = plan(place)
    assert (found["sequential_s"], found["critical_path_s"], found["sweep"][0]["makespan_s"]) == (1200, 1200, 1200)


@pytest.mark.parametrize("has_runs", [False, True])
def test_a_history_that_cannot_be_written_keeps_no_plan_back(place: Place, has_runs: bool) -> None:
    place.write(TWO)
    if has_runs:
        past(place, 2, Did("unit", 0.0, 7.0), Did("integration", 7.0, 16.0))
    history = place.folder / ".stagebook" / "history.db"
    for each in history.parent.glob("history.db*"):
        each.unlink()
    history.mkdir(parents=True)
    done = place.run("plan", "--json")
    assert done.code == 0 and done.json["profile"]["source"] == ("history" if has_runs else "declared"), done
    assert done.err.count("note:") == 1 and "the journals are read for this answer only" in done.err
    assert history.is_dir()


def test_more_stages_than_can_be_simulated_at_leisure_are_planned_and_it_is_said(place: Place) -> None:
    stages = "".join(f"  s{at}: {{run: 'true', duration: 1s}}\n" for at in range(3001))
    place.write(f"version: 1\nstages:\n{stages}")
    found = plan(place, "--jobs", "2")
    assert found["sweep"][0]["makespan_s"] == pytest.approx(1501, abs=1)
    assert any("3001 stages are more than 3000" in said for said in found["profile"]["assumed"])


def test_r095_one_run_is_too_few(place: Place) -> None:
    place.write(TWO)
    past(place, 1, Did("unit", 0, 60), Did("integration", 60, 180))
    found = plan(place)
    assert (found["profile"]["source"], found["profile"]["runs"]) == ("history", 1)
    assert found["sequential_s"] == pytest.approx(180, abs=1)
    assert "insufficient data (1 run, need 5)" in told(place)


def test_r095_the_headline_says_when_what_takes_longest_rests_on_few_runs(place: Place) -> None:
    place.write(TWO)
    past(place, 6, Did("unit", 0, 60))
    past(place, 2, Did("integration", 0, 120))
    assert "insufficient data of what takes longest (integration: 2 runs, need 5)" in told(place)
    past(place, 3, Did("integration", 0, 120))
    assert "insufficient data" not in told(place)


def test_runs_in_which_all_was_up_to_date_change_no_prediction(place: Place) -> None:
    place.write("version: 1\nstages:\n  a: {run: cp in out, inputs: [in], outputs: [out]}\n")
    (place.folder / "in").write_text("x")
    assert place.run("run").code == 0
    before = plan(place)
    for _ in range(3):
        assert place.run("run").code == 0
    assert plan(place) == before


def test_history_goes_before_what_is_declared(place: Place) -> None:
    place.write(TWO)
    past(place, 6, Did("unit", 0, 60, cpu_s=30), Did("integration", 60, 180, cpu_s=60))
    found = plan(place)
    assert [stage["p50_s"] for stage in found["profile"]["stages"]] == [60, 120]
    assert [stage["runs"] for stage in found["profile"]["stages"]] == [6, 6]
    text = " ".join(place.run("plan", "--verbose", env={"COLUMNS": "140"}).out.split())
    assert "from 6 runs (medians; of those in which a stage ran alone, if any)" in text
    assert "integration 2 m 00 s 2 m 00 s to 2 m 00 s" in text


def test_a_stage_that_never_passed_has_its_declared_duration_and_is_named(place: Place) -> None:
    place.write(TWO)
    past(place, 5, Did("unit", 0, 60, reason="exit 1"), Did("integration", 60, 180))
    found = plan(place)
    assert [stage["source"] for stage in found["profile"]["stages"]] == ["declared", "history"]
    assert any("unit has never passed" in lack for lack in found["profile"]["lacks"])


# Objectives -------------------------------------------------------------------------------------------------------


def test_r096_forty_seconds_and_five_minutes_to_do_it_in_is_nothing_to_change(place: Place) -> None:
    stages = "".join(f"  - s{at}: {{run: 'true', duration: 10s}}\n" for at in range(4))
    place.write(f"version: 1\nsla: 5m\nstages:\n{stages}")
    assert "change nothing" in told(place, "--check")
    found = plan(place, "--check")
    assert found["sla"] == {"target_s": 300, "probability": None, "met": True, "met_as_is": True}
    assert [change for change in found["recommendation"]["changes"] if not change["question"]] == []


def test_check_is_of_the_file_as_it_stands(place: Place) -> None:
    """It could be met, with another file."""
    place.write("version: 1\nsla: 25m\nlimits: {jobs: 1}\n" + TWO.partition("\n")[2])
    found = plan(place, "--check", code=1)
    assert (found["sla"]["met"], found["sla"]["met_as_is"], found["as_is"]["jobs"]) == (True, False, 1)


def test_an_sla_that_nothing_meets_is_said_with_the_best_there_is(place: Place) -> None:
    place.write(f"sla: 5m\n{TWO}")
    text = told(place, "--check", code=1)
    assert text.startswith("No plan keeps the SLA of 5 m 00 s: the best takes ~20 m 00 s") and "missed" in text


def test_what_is_recommended_has_a_row_and_no_path_makes_a_run_longer(place: Place) -> None:
    side = "".join(f"        - s{at}: {{run: 'true', duration: {4 if at == 0 else 3}m}}\n" for at in range(5))
    place.write(f"version: 1\nstages:\n  - tests:\n      parallel:\n{side}  - last: {{run: 'true', duration: 3m}}\n")
    if plan(place)["profile"]["cores"] == 2:
        text = told(place)
        assert text.startswith("Run 3 jobs: ~11 m 00 s") and " 3 11 m 00 s 11 m 00 s " in text
        assert "5 jobs take 5 % longer: the machine's cores bind" in text
    found = plan(place, "--change", "s0=5m")
    assert found["recommendation"]["jobs"] in [row["jobs"] for row in found["sweep"]]


# What if, and many runs ----------------------------------------------------------------------------------------


def test_r098_more_of_them_have_another_bottleneck(place: Place) -> None:
    place.write(SERVICES.replace("pools: {db: 1}}", "cpu: 0.01, pools: {db: 1}}"))
    found = plan(place, "--scale", "service=50")["what_if"]
    assert (found["stages"], found["before"]["stages"], found["supposed"]) == (51, 5, ["50 of service"])
    assert found["before"]["knee"]["binds"][0] != "pool:db" and found["knee"]["waits_s"]["pool:db"] > 0
    text = told(place, "--scale", "service=50")
    assert text.startswith("With 50 of service: ~") and "the bottleneck is now" in text and "as it is" in text


def test_r098_a_stage_faster_and_one_gone(place: Place) -> None:
    place.write(TWO)
    found = plan(place, "--change", "integration=0.5x", "--without", "unit")
    assert found["what_if"]["sequential_s"] == 600 and found["sequential_s"] == 1800
    assert found["what_if"]["before"]["critical_path_s"] == 1200
    assert plan(place, "--change", "unit=1h")["what_if"]["critical_path"] == ["unit"]


def test_r098_arrivals_beyond_what_is_possible_let_the_queue_grow(place: Place) -> None:
    place.write(TWO)
    found = plan(place, "--arrivals", "30/h", "--shared", "runners=4")["arrivals"]
    assert found["grows"] and found["stable_per_h"] == pytest.approx(8) and found["used"] == pytest.approx(3.75)
    text = told(place, "--arrivals", "30/h", "--shared", "runners=4")
    assert text.startswith("The queue grows without bound: 30 runs/h come in, 4 runners can do 8.0 runs/h.")
    assert "keep up with 2.0 runs/h" in told(place, "--arrivals", "2/h", "--shared", "4")


def test_r054_shared_runners_print_the_added_wait_for_the_other(place: Place) -> None:
    place.write(TWO)
    place.write("version: 1\nname: other\nstages:\n  quick: {run: 'true', duration: 1m}\n", "other.yaml")
    found = plan(place, "--shared", "runners=1", "--with", "other.yaml")["arrivals"]
    assert [one["pipeline"] for one in found["pipelines"]] == [place.folder.name, "other"]
    assert found["pipelines"][1]["added_p95_s"] > 500
    assert "added wait for other" in told(place, "--shared", "runners=1", "--with", "other.yaml")


# Selections, conditions, kinds ------------------------------------------------------------------------------------


def test_a_condition_that_does_not_hold_takes_no_time_and_a_parameter_makes_it_hold(place: Place) -> None:
    place.write(
        "version: 1\nparams: {channel: {default: beta, choices: [beta, stable]}}\nstages:\n"
        "  a: {run: 'true', duration: 1m}\n"
        "  deploy: {run: 'true', duration: 10m, needs: a, when: \"params.channel == 'stable'\"}\n"
        "  clean: {run: 'true', duration: 1m, needs: deploy, always: true}\n"
    )
    assert plan(place)["sequential_s"] == 120
    assert "assumed: deploy is taken not to run: when: params.channel" in told(place)
    assert plan(place, "--param", "channel=stable")["sequential_s"] == 720


def test_a_gate_takes_no_time_and_that_is_said(place: Place) -> None:
    place.write(
        "version: 1\nstages:\n  a: {run: 'true', duration: 1m}\n  ask: {gate: {prompt: 'ship?'}, needs: a}\n"
        "  b: {run: 'true', duration: 1m, needs: ask}\n"
    )
    assert plan(place)["sequential_s"] == 120
    assert "assumed: ask waits for a person: that time is not counted" in told(place)


def test_a_part_is_planned_by_itself(place: Place) -> None:
    place.write(SERVICES)
    assert plan(place, "--only", "service")["sequential_s"] == 240
    assert plan(place, "--skip", "service")["sequential_s"] == 60
    assert plan(place, "--until", "service[name=a]")["sequential_s"] == 120


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--jobs 0", "--jobs '0' is not a list of numbers"),
        ("--jobs 1,x", "--jobs '1,x' is not a list of numbers"),
        ("--jobs 100001", "from 1 to 100000"),
        ("--optimise 5", "comes with a later version"),
        ("--change unit", "not STAGE=DURATION"),
        ("--change unit=3", "write `3s`"),
        ("--change unit=-2x", "no factor"),
        ("--change uni=2x", "did you mean `unit`?"),
        ("--without unit --without integration", "no stage is left"),
        ("--scale unit=0", "none of it is --without"),
        ("--arrivals 30", "no rate such as 30/h"),
        ("--arrivals 0/h", "no rate such as 30/h"),
        ("--arrivals 1e-300/h --shared runners=4", "is out of range: from 0.001/h to 1000000/h"),
        ("--arrivals 1e300/h --shared runners=4", "is out of range: from 0.001/h to 1000000/h"),
        ("--shared lanes=4 --arrivals 3/h", "not a number of runners"),
        ("--shared runners=4", "not by whom"),
        ("--with other.yaml", "say how many there are"),
        ("--format svg", "unknown format 'svg'"),
        ("--json --format html", "two documents"),
        ("--check", "has none"),
        ("--only nope", "no stage `nope`"),
        ("--skip unit --skip integration", "nothing to plan"),
        ("--param x=1", "unknown parameter"),
        ("--accept unit", "not two stages with an arrow"),
    ],
)
def test_wrong_words_are_told_and_nothing_is_planned(place: Place, words: str, said: str) -> None:
    place.write(TWO)
    done = place.run("plan", *words.split(), "--quiet")
    assert (done.code, done.out.startswith('{"errors"') or not done.out) == (2, True)
    assert said in " ".join((done.err + done.out).split())


def test_r003_a_pool_that_can_never_do_is_refused_at_its_line(place: Place) -> None:
    place.write("version: 1\npools: {db: 2}\nstages:\n  a: {run: 'true', resources: {pools: {db: 3}}}\n")
    done = place.run("plan")
    assert done.code == 2 and "stagebook.yaml:4:" in done.err and "which has 2" in done.err


def test_it_is_written_to_a_file(place: Place) -> None:
    place.write(TWO)
    assert place.run("plan", "-o", "plan.txt", "--quiet") == Done(0, "", "")
    assert "speed-up" in (place.folder / "plan.txt").read_text()


# The one thing that it starts ---------------------------------------------------------------------------------


def test_a_probe_runs_it_once_two_at_a_time_and_plans_with_what_it_saw(place: Place) -> None:
    place.write("version: 1\nstages:\n  a: sleep 0.2\n  b: sleep 0.2\n")
    done = place.run("plan", "--probe", "--json")
    assert done.code == 0 and "the probe really runs 2 stages" in done.err
    assert [start["jobs"] for start in place.events("run.started")] == [2]
    assert (done.json["profile"]["source"], done.json["profile"]["measured_jobs"]) == ("history", 2)


def test_a_probe_of_what_must_not_run_is_refused(place: Place) -> None:
    place.write("version: 1\nstages:\n  a: 'true'\n  pay: {run: 'true', retry-safe: false}\n")
    done = place.run("plan", "--probe")
    assert done.code == 2 and "must not run for a probe" in done.err
    assert place.run_ids() == []


def test_r137_the_example_of_ten_services_that_became_fifty(place: Place) -> None:
    file = ROOT / "examples" / "microservices" / "stagebook.yaml"
    text = told(place, str(file), "--scale", "service=50")
    assert "pool database" in text and "from declared durations" in text


def test_a_folder_that_is_called_as_a_script_is_not_taken_for_the_script(place: Place) -> None:
    for name in ("grown.py", "grown.yaml"):
        text = (ROOT / "examples" / "etl" / name).read_text()
        place.write(text.replace(".work/nightly", ".work/grown").replace('"nightly"', '"grown"'), name)
    changes = plan(place, "grown.yaml")["recommendation"]["changes"]
    assert ["extract-orders", "extract-customers"] in [change["stages"] for change in changes]
    assert {each["source"] for change in changes for each in change["evidence"]} == {"declared"}


# Items ------------------------------------------------------------------------------------------------------------

LINE = """\
version: 1
stages:
  s:
    each:
      items: {range: [1, 12]}
      steps:
        - a: {run: 'sleep 0.01'}
        - b: {run: 'sleep 0.15'}
"""


def test_r013_an_assembly_line_is_rated_by_what_a_run_tells_of_its_items(place: Place) -> None:
    place.write(LINE)
    [nothing] = plan(place)["streams"]
    assert (nothing["stage"], nothing["per_s"], nothing["run"]) == ("s", None, None)
    place.run("run", "--quiet", "-j", "4")
    [found] = plan(place)["streams"]
    assert (found["total"], found["binds"]) == (12, "s.b")
    slow = found["steps"][1]
    assert slow["item_s"] > 0.15 and found["per_s"] == pytest.approx(1 / slow["item_s"])
    assert slow["use"] == 1.0 and slow["should"] > 1
    assert "held up by b" in told(place)
    recommended = plan(place)["recommendation"]
    [change] = [each for each in recommended["changes"] if each["kind"] == "pipeline"]
    by_jobs = {row["jobs"]: row for row in found["by_jobs"]}
    assert list(by_jobs) == [1, 2, 4, 8] and recommended["jobs"] > 2
    workers = by_jobs[recommended["jobs"]]["workers"]["s.b"]
    assert change["change"].endswith(f"s.b {workers} instead of 1") and change["line"] in (7, 8)
    assert change["saves_s"] > 0.5
    assert by_jobs[8]["per_s"] > 2 * by_jobs[2]["per_s"] and by_jobs[1]["binds"] == "slot"
    swept = plan(place, "--jobs", "1,2")["sweep"]
    assert swept[0]["makespan_s"] > swept[1]["makespan_s"] > 12 * 0.15, "one job does the steps in turn"
    applied = plan(place, "--apply")["applied"]["edits"]
    assert f"s.b has {workers} workers" in applied and f"limits.jobs is {recommended['jobs']}" in applied
    assert f"- b: {{run: 'sleep 0.15', workers: {workers}}}" in (place.folder / "stagebook.yaml").read_text()


def test_r013_a_run_that_found_items_up_to_date_is_no_measure_of_what_all_take(place: Place) -> None:
    """First all, then the new one only, then none: what is forecast is a run that does all, as stages are."""
    place.write(LINE.replace("{range: [1, 12]}", '{glob: "in/*"}'))
    (place.folder / "in").mkdir()
    for number in range(8):
        (place.folder / "in" / f"{number}").write_text(f"{number}")
    took_s = place.run("run", "--json", "-j", "2").json["wall_s"]
    (place.folder / "in" / "new").write_text("new")
    assert place.run("run", "--quiet", "-j", "2").code == 0
    assert place.run("run", "--quiet", "-j", "2").code == 0
    told_of = plan(place, "--jobs", "2")
    [row] = told_of["sweep"]
    assert row["makespan_s"] == pytest.approx(took_s * 9 / 8, rel=0.35)
    assert row["p95_s"] < 2 * row["makespan_s"], "how many there were says nothing of how long one takes"
    assert told_of["streams"][0]["total"] == 9
    assert "s is taken to do all of its 9 items" in told_of["profile"]["assumed"]


def test_what_is_over_counts_while_a_person_is_asked(place: Place) -> None:
    place.pipeline({
        "build": "sleep 0.3", "ship": {"gate": {"prompt": "Ship it?"}, "needs": "build"},
        "deploy": {"run": "true", "needs": "ship", "retry-safe": True},
    })  # fmt: skip
    assert place.run("run", "--no-wait", "--quiet").code == 3
    profile = plan(place)["profile"]
    assert (profile["source"], profile["runs"]) == ("history", 1)
    by_id = {stage["stage"]: stage for stage in profile["stages"]}
    assert by_id["build"]["source"] == "history" and 0.25 < by_id["build"]["p50_s"] < 0.6
    known = {stage["stage"]: stage["known_s"] for stage in place.run("map", "--json").json["stages"]}
    assert (known["build"] is None, known["deploy"]) == (False, None), "the map knows of the same runs"


def test_generated_stages_are_planned_as_the_last_run_had_them(place: Place) -> None:
    stages = '{"test-a": "sleep 0.3", "test-b": "sleep 0.3", "deep": {"run": "sleep 0.2", "needs": "test-a"}}'
    made = f"echo '{{\"stages\": {stages}}}'"
    place.pipeline({
        "find": {"generate": {"run": f"{made} > $STAGEBOOK_GENERATE"}}, "report": {"run": "sleep 0.1", "needs": "find"},
    })  # fmt: skip
    before = plan(place)
    assert [stage["stage"] for stage in before["profile"]["stages"]] == ["find", "report"]
    assert "what find generates: it has not run yet, and is planned as one stage" in before["profile"]["assumed"]
    took_s = place.run("run", "--json", "-j", "2").json["wall_s"]
    found = plan(place, "--jobs", "1,2")
    assert {stage["stage"] for stage in found["profile"]["stages"]} == {"find", "report", "test-a", "test-b", "deep"}
    assert f"what find generates: 3 stages, as in run {place.run_ids()[0][:8]}" in found["profile"]["assumed"]
    assert found["sweep"][1]["makespan_s"] == pytest.approx(took_s, rel=0.3)
    assert found["sweep"][0]["makespan_s"] > found["sweep"][1]["makespan_s"] + 0.15
    assert found["recommendation"]["changes"] == [] or all(
        "test" not in change["change"] for change in found["recommendation"]["changes"]
    )
    assert place.run("plan", "--apply").code == 0, "no edit is about a stage that no file holds"
