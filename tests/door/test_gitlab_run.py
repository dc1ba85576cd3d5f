"""Files of GitLab CI run here: jobs in a copy of the work tree, what passes between them, what is chosen and left out,
and how a job ends that is stopped or loses its engine.
"""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from tests.door import processes
from tests.door.place import Place, by_stage, outcomes, reasons

FILE = ".gitlab-ci.yml"
PIPELINE = """\
stages: [build, test, deploy]
variables: {GREETING: "hello $NAME", NAME: world}
default:
  before_script: [set -u]
build:
  stage: build
  script:
    - echo "$GREETING, a ${CI_PIPELINE_SOURCE} by $CI_JOB_NAME of $CI_JOB_STAGE"
    - mkdir out; cp app.txt new.txt out/; ! test -e ignored.txt
    - git log -1 --format=%s; test "$PWD" = "$CI_PROJECT_DIR"
    - echo "VERSION=1.2.3" > build.env
    - touch left-behind
  artifacts:
    paths: [out/]
    exclude: [out/new.txt]
    reports: {dotenv: build.env}
unit:
  stage: test
  parallel: {matrix: [{DB: [pg, lite]}]}
  script: ['cat out/app.txt; ! test -e left-behind; ! test -e out/new.txt; echo "$VERSION on $DB"']
odd:
  stage: test
  script: [exit 3]
  allow_failure: {exit_codes: [3, 4]}
broken:
  stage: test
  script: [echo before, exit 5, echo never]
  after_script: ['echo "after: $CI_JOB_STATUS"; false']
  artifacts: {when: on_failure, paths: [app.txt]}
rescue: {stage: deploy, when: on_failure, script: [echo rescued; cat app.txt]}
ship: {stage: deploy, script: [echo shipped]}
by hand: {stage: deploy, when: manual, script: [echo by hand], needs: []}
never: {stage: build, rules: [{if: '$CI_COMMIT_BRANCH == "other"'}], script: [exit 1]}
"""


@pytest.fixture
def repository(place: Place) -> Place:
    """A commit, a change of it, a new file and one that is ignored."""
    place.write("old\n", "app.txt")
    place.write("ignored.txt\n", ".gitignore")
    place.write("x", "ignored.txt")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "First"]):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, *words], cwd=place.folder, env=place.env, check=True)
    place.write("changed\n", "app.txt")
    place.write("x", "new.txt")
    return place


def run(place: Place, text: str, *words: str, **more: object) -> dict[str, object]:
    place.write(text, FILE)
    done = place.run("run", FILE, "--yes", "--json", "--no-wait", *words, **more)  # type: ignore[arg-type]
    assert done.out, done
    document: dict[str, object] = done.json
    return document


def log(place: Place, job: str, run: str = "last") -> list[str]:
    return place.run("logs", run, job).out.splitlines()


def test_jobs_find_the_work_tree_as_it_is_and_what_others_left(repository: Place) -> None:
    found = run(repository, PIPELINE)
    assert outcomes(found) == {
        "build": "success", "unit[DB=pg]": "success", "unit[DB=lite]": "success", "odd": "success",
        "broken": "failure", "rescue": "success", "ship": "skip", "by hand": "skip",
    }  # fmt: skip
    assert "odd: exit 3, with which it may end (allow_failure: exit_codes)" in found["warnings"]  # type: ignore[operator]
    said = log(repository, "build")
    assert "hello world, a push by build of build" in said
    assert "First" in said
    assert log(repository, "unit[DB=lite]")[-2:] == ["changed", "1.2.3 on lite"]
    broken = log(repository, "broken")
    assert "$ exit 5" in broken
    assert "never" not in broken
    assert "after: failed" in broken
    assert "changed" in log(repository, "rescue"), "the artifact that a failure leaves"
    assert not (repository.folder / "out").exists(), "the user's own folder is as it was"
    once_more = outcomes(repository.run("run", FILE, "--failed-of", "last", "--json").json)
    assert (once_more["broken"], once_more["rescue"], once_more["build"]) == ("failure", "success", "skip")


def test_one_job_alone_finds_the_artifacts_of_an_earlier_run(repository: Place) -> None:
    run(repository, PIPELINE, "--job", "build")
    found = run(repository, PIPELINE, "--only", "unit", "--matrix", "DB=pg")
    assert outcomes(found)["unit[DB=pg]"] == "success"
    assert reasons(found)["unit[DB=lite]"] == "not selected"
    assert any(line.startswith("artifacts of build: 1 file, of run ") for line in log(repository, "unit[DB=pg]"))
    titled = run(repository, PIPELINE, "--job", "unit: [pg]")
    assert {id for id, outcome in outcomes(titled).items() if outcome == "success"} == {"build", "unit[DB=pg]"}
    by_hand = run(repository, PIPELINE, "--job", "by hand")
    assert outcomes(by_hand)["by hand"] == "success"


def test_a_cache_is_there_in_the_next_run_and_what_fails_leaves_none(place: Place) -> None:
    text = """\
warm:
  cache: {key: "$CI_COMMIT_REF_SLUG-deps", paths: [deps/]}
  script: [ls deps || true, mkdir -p deps, touch deps/kept]
cold:
  cache: {key: broken, paths: [deps/]}
  script: [ls deps || true, mkdir -p deps, touch deps/kept, exit 1]
"""
    for _ in range(2):
        run(place, text)
    assert "kept" in log(place, "warm")
    assert "kept" not in log(place, "cold")
    would = place.run("gc", "--cache-age", "1ms", "--dry-run", "--json").json
    assert would["job_caches"] == ["main-deps"]
    assert place.run("gc", "--json").json["job_caches"] == []
    assert "1 cache of jobs" in place.run("gc", "--cache-age", "1ms").out
    run(place, text, "--only", "warm")
    assert "kept" not in log(place, "warm")


def test_what_a_file_may_say_of_sources_caches_and_artifacts(repository: Place) -> None:
    text = """\
default:
  cache: {key: {files: [app.txt], prefix: $CI_JOB_NAME}, fallback_keys: ["spare-$CI_COMMIT_BRANCH"], paths: [deps]}
spare: {stage: build, cache: {key: spare-main, paths: [deps], policy: push}, script: [mkdir deps, touch deps/spare]}
make: {stage: build, cache: [], script: [touch made, echo x > ignored.txt], artifacts: {untracked: true}}
bare:
  variables: {GIT_STRATEGY: none}
  cache: []
  needs: []
  script: ['test -z "$(ls)"', 'echo $DEEP', 'echo "raw $RAW"']
take: {needs: [make, spare], script: [ls, ls deps, touch deps/more]}
leave:
  needs: [{job: make, artifacts: false}, spare]
  cache: {key: spare-main, paths: [deps], policy: pull}
  script: [ls, rm -r deps]
variables: {DEEP: "${MIDDLE}!", MIDDLE: "$CI_COMMIT_REF_SLUG", RAW: {value: "a$b", expand: false}}
"""
    found = run(repository, text)
    assert set(outcomes(found).values()) == {"success"}, {id: log(repository, id) for id in outcomes(found)}
    taken = log(repository, "take")
    assert {"made", "ignored.txt", "spare"} <= set(taken)
    assert any(line.endswith(": restored from spare-main") for line in taken)
    assert "made" not in log(repository, "leave")
    assert {"main!", "raw a$b"} <= set(log(repository, "bare"))
    again = run(repository, text, "--only", "take")
    assert outcomes(again)["take"] == "success"
    assert "more" in log(repository, "take"), "its own cache is there by now"


def test_a_secret_that_is_not_set_is_empty_and_said(place: Place) -> None:
    jobs = {"a": {"runs-on": "x", "env": {"T": "${{ secrets.TOKEN }}"}, "steps": [{"run": 'echo "[$T]"'}]}}
    file = place.write(json.dumps({"on": "push", "jobs": jobs}), ".github/workflows/ci.yml")
    done = place.run("run", str(file), "--yes", "--json")
    assert done.code == 0, done
    assert any("secret TOKEN is not set" in text for text in done.json["warnings"])
    assert "[]" in log(place, "a")


def test_secrets_and_variables_come_from_files_and_hide_themselves(place: Place) -> None:
    secrets, variables = place.base / "secrets", place.base / "variables"
    secrets.write_text("# tokens\nexport TOKEN='tok-5f2c8e1d'\n")
    secrets.chmod(0o600)
    variables.write_text("LEVEL=7\n")
    text = 'show: {variables: {LEVEL: "1"}, script: [echo "level $LEVEL", echo "token $TOKEN", exit 1]}\n'
    found = run(place, text, "--secret-file", str(secrets), "--env-file", str(variables), "--var", "OTHER=8")
    said = log(place, "show")
    assert {"level 7", "token ***"} <= set(said)
    assert "tok-5f2c8e1d" not in json.dumps(found)
    kept = [path for path in (place.folder / ".stagebook").rglob("*") if path.is_file()]
    assert not any(b"tok-5f2c8e1d" in path.read_bytes() for path in kept)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--secret-file", "bad"], "bad, line 1: NAME=VALUE expected"),
        (["--env-file", "nowhere"], "nowhere: No such file"),
        (["--job", "nix"], "--job: no stage `nix`"),
        (["--matrix", "A=1"], "--matrix A=1: no job of a matrix has this value; none has it"),
        (["--matrix", "A"], "--matrix A: expected NAME=VALUE"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_runs(place: Place, words: list[str], said: str) -> None:
    place.write("geheim ohne Gleichheit\n", "bad")
    place.write("one: {script: [true]}\n", FILE)
    done = place.run("run", FILE, "--yes", *words)
    assert done.code == 2, done
    assert said in done.err
    assert "geheim" not in done.said
    assert place.run_ids() == []


def test_options_for_jobs_are_refused_with_a_file_of_stagebook(place: Place) -> None:
    place.pipeline({"one": "true"})
    done = place.run("run", "--job", "one")
    assert (done.code, "--job: for files of GitHub Actions and GitLab CI only" in done.err) == (2, True)


def test_a_pipeline_of_which_nothing_runs_is_no_success(place: Place) -> None:
    place.write("one: {script: [true], rules: [{if: $NEVER}]}\n", FILE)
    done = place.run("run", FILE, "--yes")
    assert done.code == 2, done


def test_a_job_that_cannot_run_here_is_named_and_may_be_left_out(place: Place) -> None:
    text = "there: {trigger: {project: other/project}}\nhere: {script: [true]}\n"
    place.write(text, FILE)
    done = place.run("run", FILE, "--yes")
    assert done.code == 2, done
    assert f"{FILE}:1:1: error: job `there` cannot run here: " in done.err
    assert "--unplayable skip" in done.err
    found = run(place, text, "--unplayable", "skip")
    assert outcomes(found) == {"there": "skip", "here": "success"}
    assert str(reasons(found)["there"]).startswith("cannot run here: ")
    place.write("there: {trigger: {project: other/project}}\n", FILE)
    done = place.run("run", FILE, "--yes", "--unplayable", "skip")
    assert (done.code, "job `there` cannot run here: " in done.err) == (2, True)


def test_a_manual_job_that_blocks_is_a_gate(place: Place) -> None:
    text = "a: {stage: build, script: [echo a], rules: [{when: manual}]}\n"
    later = "when: delayed, start_in: 2 minutes, release: {tag_name: v1, description: x}"
    text += f"b: {{stage: test, script: [echo b], {later}}}\n"
    place.write(text, FILE)
    assert place.run("run", FILE, "--yes", "--no-wait").code == 3
    done = place.run("approve", "last", "a:play", "--yes")
    assert done.code == 0, done
    assert outcomes(place.show())["b"] == "success"
    assert log(place, "b")[:2] == [
        "note: there it starts after 120 s, here at once",
        "note: release v1 is made by GitLab, not here",
    ]


def test_an_image_is_this_machine_or_what_the_settings_name(place: Place) -> None:
    place.write('[images]\n"python:*" = "env AROUND=yes"\n', "stagebook.toml")
    run(place, "a: {image: python:3.12, script: ['echo ${AROUND-none}']}\nb: {image: alpine, script: [true]}\n")
    assert "yes" in log(place, "a")
    assert log(place, "b")[0].startswith("note: image alpine is not used")
    place.write("[images]\npython = 3\n", "stagebook.toml")
    done = place.run("run", FILE)
    assert (done.code, "stagebook.toml:1:1: error: images: expected" in done.err) == (2, True)


SLOW = """\
quick:
  stage: build
  script: [&begin 'echo "$STAGEBOOK_STAGE $STAGEBOOK_ATTEMPT $$ begin" >> "$LEDGER"', 'echo A=b > made.env']
  artifacts: {reports: {dotenv: made.env}}
slow:
  stage: test
  script: [*begin, 'test -e "$BASE/go-on" || sleep 300', 'echo "A is $A, level is $LEVEL"', 'echo "token ${TOKEN-}"']
  after_script: ['echo "$STAGEBOOK_STAGE 0 0 after-$CI_JOB_STATUS" >> "$LEDGER"']
"""


@pytest.mark.parametrize("by", ["SIGINT", "engine", "both"])
def test_a_stopped_run_ends_its_jobs_and_goes_on_without_options(place: Place, by: str) -> None:
    place.write(SLOW, FILE)
    secrets = place.base / "secrets"
    secrets.write_text("TOKEN=tok-5f2c8e1d\n")
    begun = place.start("run", FILE, "--yes", "--var", "LEVEL=7", "--secret-file", str(secrets))
    place.wait_for("slow")
    if by == "SIGINT":
        begun.send(signal.SIGINT)
        assert begun.wait().code == 130
        place.wait_for("slow", "after-canceled")
    else:
        begun.kill(by)
    left = {found.pid for found in processes.mark_processes(place.mark)} if by == "both" else set()
    assert bool(left) == (by == "both"), "nobody is there to end it"
    assert by == "both" or not place.left(5)
    (place.base / "go-on").touch()
    done = place.run("run", FILE, "--resume")
    assert done.code == 0, done
    assert place.began() == ["quick", "slow", "slow"]
    assert not any(map(processes.is_alive, left)), "never two copies at once"
    assert {"A is b, level is 7", "token ***"} <= set(log(place, "slow"))


def test_a_changed_file_is_read_again_as_it_was_and_trusted_again(place: Place) -> None:
    place.write(SLOW, FILE)
    begun = place.start("run", FILE, "--yes", "--var", "LEVEL=7")
    place.wait_for("slow")
    begun.send(signal.SIGINT)
    begun.wait()
    (place.base / "go-on").touch()
    place.write(SLOW.replace("A is", "now A is"), FILE)
    refused = place.run("run", FILE, "--resume")
    assert (refused.code, "has changed since run" in refused.err, "slow" in refused.err) == (2, True, True)
    untrusted = place.run("run", FILE, "--resume", "--accept-changes")
    assert (untrusted.code, "has not been trusted yet" in untrusted.err) == (2, True)
    done = place.run("run", FILE, "--resume", "--accept-changes", "--yes")
    assert done.code == 0, done
    assert "now A is b, level is 7" in log(place, "slow")
    assert place.began() == ["quick", "slow", "slow"]


def test_a_service_of_the_settings_runs_beside_the_job(place: Place) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = f"python3 -m http.server --bind 127.0.0.1 {port}"
    place.write(f'[images]\n"web" = {{command = "{command}", ready = {port}}}\n', "stagebook.toml")
    place.write("import sys, urllib.request as r\nprint(r.urlopen(sys.argv[1]).status)\n", "ask.py")
    ask = f"python3 ask.py http://localhost:{port}"
    found = run(place, f"a: {{services: [web], script: ['{ask}']}}\nb: {{services: [db:1], script: [true]}}\n")
    assert "200" in log(place, "a")
    assert any('[images] "db:1" = ' in line for line in log(place, "b"))
    assert outcomes(found) == {"a": "success", "b": "error"}, "nobody's script is at fault"
    assert str(by_stage(found)["b"]["attempts"][0]["reason"]).startswith(
        "service db: nothing here stands for image db:1"
    )


def test_hostile_names_do_no_harm(place: Place) -> None:
    job = '"a\\u001b[31m/../../b": {script: [echo made > out], artifacts: {paths: [out]}}'
    text = f"{job}\nc: {{stage: deploy, script: [cat out]}}\n"
    place.write(text, FILE)
    done = place.run("run", FILE, "--yes")
    assert "\x1b[31m" not in done.said
    assert done.code in (0, 2), done


def test_the_runs_of_a_work_tree_are_at_its_root(repository: Place) -> None:
    repository.write("a: {script: ['echo in ${PWD##*/}']}\n", "ci/build.gitlab-ci.yml")
    done = repository.run("run", "ci/build.gitlab-ci.yml", "--yes", "--quiet")
    assert done.code == 0, done
    assert len(repository.run_ids()) == 1
