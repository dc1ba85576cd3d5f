"""`import runs`: what a CI system has recorded becomes runs like any other, once, and `plan` works on them."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest
from tests.door.place import Document, Place, by_stage
from tests.recordings import synthetic
from tests.recordings.server import Answer, Server, github, gitlab, run_of, serving

from stagebook.record import recorded_times

WORKFLOW = """\
name: CI
on: push
jobs:
  lint:
    runs-on: ubuntu-latest
    steps: [{run: make lint}]
  build:
    runs-on: ubuntu-latest
    steps: [{run: make}]
  unit:
    needs: build
    strategy: {matrix: {python: ["3.11", "3.13"]}}
    runs-on: ubuntu-latest
    steps: [{run: make test}]
  deploy:
    needs: [lint, unit]
    runs-on: ubuntu-latest
    steps: [{run: make deploy}]
"""
TOKEN = "ghp_secretword"
FILE = ".github/workflows/ci.yml"
GITLAB = """\
stages: [build, test, deploy]
build: {stage: build, script: [make]}
lint: {stage: test, needs: [], script: [make lint]}
unit: {stage: test, script: [make test], parallel: {matrix: [{PYTHON: ["3.11", "3.13"]}]}}
deploy: {stage: deploy, script: [make deploy]}
"""


@pytest.fixture
def repository(place: Place) -> Place:
    (place.folder / ".git").mkdir()
    place.write(WORKFLOW, FILE)
    return place


def save(place: Place, name: str, value: Any) -> str:
    place.write(json.dumps(value), name)
    return name


def recorded(place: Place, runs: int = 8, **more: Any) -> list[str]:
    listed, jobs = synthetic.github(runs, **more)
    return [save(place, "runs.json", listed), save(place, "jobs.json", jobs)]


def imported(place: Place, *words: str) -> Document:
    done = place.run("import", "runs", *words, "--json")
    assert done.code == 0, done
    return done.json


def test_recordings_become_runs_once(repository: Place) -> None:
    files = recorded(repository)
    first = imported(repository, "github", *files)
    assert (first["added"], first["known"], first["going"]) == (8, 0, 0)
    [of] = first["pipelines"]
    assert (of["runs"], of["jobs"], of["unmatched"], of["unseen"]) == (8, 40, [], [])
    assert of["file"].endswith(FILE)
    again = imported(repository, "github", *files)
    assert (again["added"], again["known"], again["renewed"]) == (0, 8, 0)
    assert len(repository.run_ids()) == 8


def test_such_a_run_is_shown_like_any_other(repository: Place) -> None:
    imported(repository, "github", *recorded(repository, 1, failing=0.0))
    shown = repository.show()
    assert shown["imported"] == {
        "system": "github", "id": "9000000", "attempt": 1, "event": "push", "workflow": "CI", "whole": True,
        "url": "https://github.com/octo/app/actions/runs/9000000",
    }  # fmt: skip
    stages = by_stage(shown)
    assert {need.partition("[")[0] for need in stages["deploy"]["needs"]} == {"lint", "unit"}
    assert (shown["outcome"], shown["state"]) == ("success", "ended")
    assert sum(stage["wait_s"] for stage in stages.values()) > 10
    assert all(stage["attempts"][0]["usage"]["cpu_s"] is None for stage in stages.values())
    text = repository.run("show", "last")
    assert "run 9000000 of github" in text.out and "recorded: at most" in text.out
    assert "github" in repository.run("runs").out
    for words in (["timeline", "last"], ["stats", "build"]):
        assert repository.run(*words).code == 0, words


def test_its_journal_keeps_to_the_schema(repository: Place) -> None:
    imported(repository, "github", *recorded(repository, 1))
    checker = jsonschema.Draft202012Validator(repository.run("schema", "journal").json)
    for record in repository.journal():
        checker.validate(record)
    steps = [record["steps"] for record in repository.events("stage.exited") if "steps" in record]
    assert [step[0] for step in steps[0]] == ["Set up job", "Run it"]


def test_plan_works_on_what_was_recorded(repository: Place) -> None:
    imported(repository, "github", *recorded(repository, 8, failing=0.0))
    told = repository.run("plan", FILE, "--json").json
    assert told["profile"]["source"] == "history" and told["profile"]["runs"] == 8
    assert told["critical_path"][0] == "build" and told["critical_path"][-1] == "deploy"
    assert 480 < told["critical_path_s"] < 600


def test_what_failed_and_passed_when_it_was_run_again_is_flaky(repository: Place) -> None:
    chance = random.Random(1)
    timed = synthetic.course(synthetic.JOBS, synthetic.BEGIN_S, chance, failing=0.0)
    failed = [each._replace(outcome="failure") if each.job.name == "lint" else each for each in timed]
    run = synthetic.github_run(1, failed, attempt=2, conclusion="success")
    again = [each._replace(queued_s=each.queued_s + 7200, started_s=each.started_s + 7200,
                           finished_s=each.finished_s + 7200) for each in timed if each.job.name == "lint"]  # fmt: skip
    jobs = synthetic.github_jobs(run, failed) + synthetic.github_jobs(run, again, attempt=2)
    told = imported(repository, "github", save(repository, "j.json", [run, jobs]))
    assert told["added"] == 2, "each attempt is a run"
    first, second = (repository.show(run) for run in repository.run_ids())
    assert (first["outcome"], second["outcome"]) == ("failure", "success")
    assert by_stage(second)["build"]["reason"] == "not selected"
    assert [one["stage"] for one in repository.run("flaky", "--json").json["flaky"]] == ["lint"]


def test_of_a_failure_it_is_said_where_to_look(repository: Place) -> None:
    imported(repository, "github", *recorded(repository, 1, failing=1.0))
    said = repository.run("show", "last").out
    assert "log    https://github.com/octo/app/actions/runs/9000000" in said
    assert "stagebook logs" not in said and "again  " not in said


def test_nobody_goes_on_with_such_a_run(repository: Place) -> None:
    listed, jobs = synthetic.github(1)
    listed["workflow_runs"][0]["conclusion"] = "cancelled"
    imported(repository, "github", save(repository, "r.json", listed), save(repository, "j.json", jobs))
    done = repository.run("cancel", "last")
    assert done.code == 2 and "recorded by github" in done.err


def test_jobs_of_another_name_are_named_with_counts(repository: Place) -> None:
    files = recorded(repository, 3)
    repository.write(WORKFLOW.replace("  lint:", "  style:").replace("[lint, unit]", "[style, unit]"), FILE)
    [of] = imported(repository, "github", *files)["pipelines"]
    assert (of["unmatched"], of["unseen"]) == ([{"name": "lint", "count": 3}], ["style"])
    done = repository.run("import", "runs", "github", *files)
    assert "1 name that no stage has: lint (3)" in done.out and "not in these runs: style" in done.out
    repository.write(WORKFLOW, FILE)
    assert imported(repository, "github", *files)["renewed"] == 3, "the file has other stages now"
    assert len(repository.run_ids()) == 3


def test_a_run_belongs_to_its_own_workflow(repository: Place) -> None:
    files = recorded(repository, 2)
    other = repository.write(
        "on: push\njobs: {nightly: {runs-on: x, steps: [{run: make}]}}\n", ".github/workflows/n.yml"
    )
    assert imported(repository, "github", *files, "--file", str(other))["left_out"]["other"] == 2
    assert repository.run_ids() == []
    jobs_only = imported(repository, "github", files[1])
    assert [of["file"].endswith(FILE) for of in jobs_only["pipelines"]] == [True], "the one that knows the jobs"


def test_a_native_file_made_of_the_workflow_has_its_timings(repository: Place) -> None:
    files = recorded(repository, 6, failing=0.0)
    repository.write(repository.run("import", "github", FILE, "--quiet").out)
    told = imported(repository, "github", *files, "--file", "stagebook.yaml")
    assert (told["added"], told["pipelines"][0]["unmatched"]) == (6, [])
    plan = repository.run("plan", "--json").json
    assert (plan["profile"]["runs"], plan["profile"]["system"]) == (6, "github")


def test_without_the_file_the_runs_are_kept_without_needs(place: Place) -> None:
    document = imported(place, "github", *recorded(place, 2))
    assert document["added"] == 2
    shown = place.show()
    assert shown["pipeline"] == "CI" and all(not stage["needs"] for stage in shown["stages"])
    assert "no needs are known" in place.run("import", "runs", "github", "runs.json", "jobs.json").out


def test_a_pair_that_overlaps_where_runs_fail_is_asked_about(repository: Place) -> None:
    """`lint` and `deploy` of this invention need not wait for each other, and fail when they meet."""
    jobs = (
        synthetic.Job("build", 100),
        *(synthetic.Job(f"early{number}", 20 * number + 20) for number in range(3)),
        synthetic.Job("lint", 104, ("early2",), races_with="build"),
    )
    listed, found = synthetic.github(40, jobs=jobs, failing=0.02, queue_s=30)
    document = imported(repository, "github", save(repository, "r.json", listed), save(repository, "j.json", found))
    assert [sorted(pair["stages"]) for pair in document["together"]] == [["build", "lint"]]
    assert document["together"][0]["p_corrected"] < 0.01
    text = " ".join(repository.run("plan", FILE).out.split())
    assert "disturb each other? They overlapped in" in text


def test_gitlab(place: Place) -> None:
    (place.folder / ".git").mkdir()
    place.write(GITLAB, ".gitlab-ci.yml")
    names = {"unit (3.11)": "unit: [3.11]", "unit (3.13)": "unit: [3.13]"}
    jobs = tuple(
        job._replace(name=names.get(job.name, job.name), needs=tuple(names.get(need, need) for need in job.needs))
        for job in synthetic.JOBS
    )
    listed, found = synthetic.gitlab(6, jobs=jobs, failing=0.0)
    document = imported(place, "gitlab", save(place, "p.json", listed), save(place, "j.json", found))
    assert document["added"] == 6 and document["pipelines"][0]["unmatched"] == []
    assert sum(stage["wait_s"] for stage in place.show()["stages"]) > 10
    told = place.run("plan", ".gitlab-ci.yml", "--json").json
    assert told["profile"]["runs"] == 6 and told["as_is"]["jobs"] > 4
    assert any("no cap on jobs at once is known of gitlab" in text for text in told["profile"]["assumed"])
    limits = place.run("plan", ".gitlab-ci.yml", "--limits", "--json", "--days", "366").json["limits"]
    assert limits["provider"]["name"].startswith("gitlab") and limits["runs"] == 6


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["runs"], "of which system"),
        (["runs", "gitbuh", "x.json"], "unknown"),
        (["runs", "github"], "name files with saved answers"),
        (["runs", "github", "missing.json"], "missing.json: error: cannot be read"),
        (["runs", "github", "."], "no regular file"),
        (["runs", "github", "cut.json"], "cut.json:2:"),
        (["runs", "github", "x.json", "--since", "3d"], "--since belongs to --repo"),
        (["runs", "github", "x.json", "--repo", "o/r"], "left over"),
        (["runs", "github", "--repo", "app"], "expected OWNER/NAME"),
        (["github", "--repo", "o/r"], "belongs to `import runs github`"),
        (["runs", "github", "--repo", "o/r", "--base-url", "http://example.org"], None),
        (["runs", "github", "--repo", "o/r", "--base-url", "https://me:secretword@example.org"], "in the environment"),
    ],
)
def test_wrong_words_and_files_are_2(place: Place, words: list[str], says: str | None) -> None:
    place.write('{"jobs": [\n {"id": 1, ', "cut.json")
    done = place.run("import", *words, env={"GITHUB_TOKEN": "ghp_secretword"})
    assert done.code == 2, done
    assert (says or "unencrypted") in done.err
    assert "secretword" not in done.said


# Asked of a server -----------------------------------------------------------------------------------------------


def asked(place: Place, server: Server, *words: str, system: str = "github", repo: str = "octo/app") -> Any:
    return place.run(
        "import", "runs", system, "--repo", repo, "--since", "2026-01-01", "--base-url", server.url, *words,
        env={"GITHUB_TOKEN": TOKEN, "GITLAB_TOKEN": TOKEN},
    )  # fmt: skip


def test_runs_are_asked_for_once(repository: Place) -> None:
    with serving(github(*synthetic.github(6))) as server:
        first = asked(repository, server, "--json")
        assert first.code == 0, first
        assert first.json["added"] == 6
        assert all(each.headers["Authorization"] == f"Bearer {TOKEN}" for each in server.asked)
        assert (
            server.asked[0].query["created"].startswith(">=2026-01-01")
            or ">=2025-12-31" in server.asked[0].query["created"]
        )
        server.asked.clear()
        again = asked(repository, server, "--json")
        assert again.json["known"] == 6
        assert [run_of(each.path) for each in server.asked] == [""], "only what there is is asked again"
        assert asked(repository, server, "--json", "--limit", "2").json["known"] == 2
    everything = "".join(
        path.read_text("utf-8") for path in repository.base.rglob("*") if path.is_file() and path.suffix != ".db"
    )
    assert TOKEN not in everything


def test_what_was_interrupted_goes_on_where_it_was(repository: Place) -> None:
    with serving(github(*synthetic.github(6))) as server:
        server.faults = [None, None, None, Answer(429, b"", (("Retry-After", "7200"),))]
        done = asked(repository, server)
        assert done.code == 4 and "the same command goes on from there" in done.err and TOKEN not in done.said
        assert len(repository.run_ids()) == 2
        before = {run_of(each.path) for each in server.asked[:3]} - {""}
        server.asked.clear()
        assert asked(repository, server, "--json").json["added"] == 4
        assert not before & {run_of(each.path) for each in server.asked}


def test_a_short_wait_is_said_and_kept(repository: Place) -> None:
    with serving(github(*synthetic.github(1))) as server:
        server.faults = [Answer(403, b"", (("Retry-After", "1"),)), Answer(200, b'{"workflow_runs": [')]
        done = asked(repository, server)
        assert done.code == 0 and "waits 1 s" in done.err and "no whole JSON" in done.err


def test_ten_thousand_jobs(repository: Place) -> None:
    jobs = tuple(synthetic.Job(f"unit ({number})", 60) for number in range(500))
    with serving(github(*synthetic.github(20, jobs=jobs, failing=0.0))) as server:
        done = asked(repository, server, "--json", "--file", str(repository.folder / FILE))
        assert done.code == 0, done
        assert sum(of["jobs"] for of in done.json["pipelines"]) == 10_000
        assert len(server.asked) == 101


def test_gitlab_is_asked_for_jobs_and_bridges(place: Place) -> None:
    (place.folder / ".git").mkdir()
    with serving(gitlab(*synthetic.gitlab(3))) as server:
        done = asked(place, server, "--json", system="gitlab")
        assert done.code == 0, done
        assert done.json["added"] == 3
        assert {each.headers["Private-Token"] for each in server.asked} == {TOKEN}
        assert server.asked[1].query["include_retried"] == "true"
        server.asked.clear()
        assert asked(place, server, "--json", system="gitlab").json["known"] == 3
        assert len(server.asked) == 1


def test_a_child_pipeline_is_asked_for_with_its_parent(place: Place) -> None:
    (place.folder / ".git").mkdir()
    place.write("build: {script: [x]}\nkid: {trigger: {include: child.yml, strategy: depend}}\n", ".gitlab-ci.yml")
    place.write("inner: {script: [x]}\n", "child.yml")
    listed, found = synthetic.gitlab(1, jobs=(synthetic.Job("build", 9),), failing=0.0)
    data = gitlab(listed, found)
    base = next(iter(data))
    child = {**listed[0], "id": 77, "source": "parent_pipeline"}
    data[f"{base}/{listed[0]['id']}/bridges"] = [{**found[0], "id": 1, "name": "kid", "downstream_pipeline": child}]
    data[f"{base}/77/jobs"] = [{**found[0], "id": 2, "name": "inner", "pipeline": child}]
    data[f"{base}/77/bridges"] = []
    with serving(data) as server:
        told = asked(place, server, "--json", system="gitlab").json
    assert (told["added"], told["pipelines"][0]["unmatched"]) == (1, [])
    assert sorted(by_stage(place.show())) == ["build", "kid", "kid/inner"]


def test_a_repository_that_is_not_there_is_2(repository: Place) -> None:
    with serving({}) as server:
        done = asked(repository, server)
        assert done.code == 2 and "404" in done.err and TOKEN not in done.said
        assert repository.run_ids() == []


# What else is made of it -----------------------------------------------------------------------------------------


def test_steps_are_known_by_their_names(repository: Place) -> None:
    imported(repository, "github", *recorded(repository, 4, failing=0.0))
    found = recorded_times.times(str(repository.folder / ".stagebook"), str(repository.folder / FILE)).steps["build"]
    assert list(found) == ["Set up job", "Run it"]
    assert 30_000 < found["Set up job"] < 60_000 < found["Run it"]


def test_the_cap_of_the_provider_bounds_the_plan(repository: Place) -> None:
    """Twenty-four jobs at once where twenty may run: four wait."""
    names = [f"unit{number}" for number in range(24)]
    job = "{runs-on: ubuntu-latest, steps: [{run: make}]}"
    repository.write("on: push\njobs:\n" + "".join(f"  {name}: {job}\n" for name in names), FILE)
    made = synthetic.github(5, jobs=tuple(synthetic.Job(name, 100) for name in names), failing=0.0)
    imported(repository, "github", save(repository, "r.json", made[0]), save(repository, "j.json", made[1]))
    told = repository.run("plan", FILE, "--json").json
    assert told["profile"]["system"] == "github" and told["profile"]["queue_s"]["median"] > 0
    assert (told["as_is"]["jobs"], told["sweep"][-1]["jobs"]) == (20, 20)
    assert 190 < told["as_is"]["makespan_s"] < 230
    wide = repository.run("plan", FILE, "--json", "--provider", "github-team").json
    assert wide["as_is"]["makespan_s"] < 120
    assert any("20 jobs at once, the cap of github" in text for text in told["profile"]["assumed"])


def test_hostile_names_are_shown_and_do_nothing(repository: Place) -> None:
    evil = "\x1b[2J\x1b]0;x\x07build\n::set-output\u202e"
    listed, jobs = synthetic.github(2, jobs=(synthetic.Job(evil, 10),), failing=0.0)
    listed["workflow_runs"][0] |= {"name": evil, "path": "../../../etc/passwd"}
    files = save(repository, "r.json", listed), save(repository, "j.json", jobs)
    done = repository.run("import", "runs", "github", *files)
    assert done.code == 0, done
    for words in (["show", "last"], ["timeline", "last"]):
        done = repository.run(*words)
        assert not any(letter in done.said for letter in "\x1b\x07\u202e"), words


def test_what_an_event_has_started_that_no_file_names(repository: Place) -> None:
    listed, jobs = synthetic.github(1)
    for run in listed["workflow_runs"]:
        run["event"] = "dynamic"
    files = [save(repository, "runs.json", listed), save(repository, "jobs.json", jobs)]
    done = repository.run("import", "runs", "github", *files)
    assert done.code == 0 and "which is wrong" not in done.said
    stages = by_stage(repository.show())
    assert {need.partition("[")[0] for need in stages["deploy"]["needs"]} == {"lint", "unit"}
