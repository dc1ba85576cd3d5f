"""Conditions as a user meets them: what is skipped and why, what is told beforehand, what is refused before it begins.

R15 (conditions), R16 (path filters), R32 (policy by place), R40 (quarantine); the examples run as they stand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.door.place import Document, Place, noted

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "conditions.md"


def git(place: Place, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", *identity, *words], cwd=place.folder, env=place.env, check=True, capture_output=True, text=True
    ).stdout


def commit(place: Place, message: str, *names: str) -> None:
    """All that is there, with these files changed, as one commit; the first makes the repository."""
    if not (place.folder / ".git").exists():
        git(place, "init", "--quiet", "--initial-branch", "main")
        place.write(".stagebook/\nout/\n", ".gitignore")
    for name in names:
        place.write(f"{message}\n", name)
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--allow-empty", "--message", message)


def said(document: Document) -> dict[str, tuple[str, str | None]]:
    return {stage["stage"]: (stage["outcome"], stage["reason"]) for stage in document["stages"]}


def example(place: Place, name: str) -> None:
    shutil.copy(ROOT / "examples" / name / "stagebook.yaml", place.folder)


# The examples -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["skip-tests", "policies"])
def test_an_example_stands_in_the_docs_as_it_is_and_is_sound(place: Place, name: str) -> None:
    example(place, name)
    assert (place.folder / "stagebook.yaml").read_text().rstrip() in PAGE.read_text()
    assert place.run("lint", "--strict").code == 0


def test_r015_a_commit_message_skips_the_tests(place: Place) -> None:
    example(place, "skip-tests")
    commit(place, "First", "docs/a.md")
    commit(place, "Explain [skip tests]", "docs/a.md")
    done = place.run("run", "--json")
    assert done.code == 0, done
    assert said(done.json) == {
        "build": ("success", None),
        "tests": ("skip", "when: !commit.message.contains('[skip tests]')"),
        "pages": ("success", None),
        "package": ("success", None),
        "release": ("skip", "when: branch == 'main' && stages[\"tests\"].outcome == 'success'"),
    }
    assert (place.folder / "out" / "app-1.4.2.tar.gz").exists(), "an output reached another stage as a variable"
    commit(place, "Code", "code")
    done = place.run("run", "--json")
    assert said(done.json) == {
        "build": ("success", None),
        "tests": ("success", None),
        "pages": ("skip", "changed: no file matches docs/** since HEAD~1"),
        "package": ("success", None),
        "release": ("success", None),
    }


@pytest.mark.parametrize(
    ("where", "policy", "code", "outcome"),
    [("production", "strict", 1, "failure"), ("development", "lenient", 0, "success")],
)
def test_r032_the_same_failure_in_production_and_in_development(
    place: Place, where: str, policy: str, code: int, outcome: str
) -> None:
    example(place, "policies")
    foreseen = place.run("run", "--dry-run", "--json", "--param", f"place={where}").json
    assert foreseen["policy"] == policy
    because = (
        "params.place == 'production' (line 7): params.place is 'production'" if code else "no rule before it holds"
    )
    assert foreseen["policy_because"] == because
    assert f"policy {policy} ({because})" in place.run("run", "--dry-run", "--param", f"place={where}").out
    done = place.run("run", "--json", "--param", f"place={where}")
    assert (done.code, done.json["outcome"]) == (code, outcome)
    assert (done.json["policy"], done.json["policy_because"]) == (policy, because)
    shown = place.run("show", "last").out
    assert " ".join(f"policy {policy} ({because})".split()) in " ".join(shown.split())
    assert said(done.json)["screenshots"] == ("failure", "exit 1")
    assert place.run("run", "--json", "--param", f"place={where}", "--policy", "strict").code == 1


def test_r015_what_was_saved_by_skipping_is_told_from_what_it_took_before(place: Place) -> None:
    place.pipeline({
        "tests": {"run": noted("sleep 0.3"), "when": "!commit.message.contains('[skip tests]')"},
        "lint": {"run": noted(), "when": "!commit.message.contains('[skip tests]') && params.lint == 'yes'"},
        "after": {"run": noted("exit 1"), "needs": "tests"}, "never": {"run": noted(), "needs": "after"},
    }, params={"lint": {"default": "no"}})  # fmt: skip
    commit(place, "First")
    first = place.run("run", "--json", "--only", "tests").json
    assert first["skipped_by_conditions"] is None
    commit(place, "docs [skip tests]")
    done = place.run("run")
    assert "tests: skip, when: !commit.message.contains('[skip tests]')" in done.out
    assert "never skipped ← after failed (exit 1)" in place.run("show", "last").out, "and every skip has its chain"
    document = place.show()
    saved = document["skipped_by_conditions"]
    took = saved["took_s"]["tests"]
    assert saved == {"stages": ["tests", "lint"], "took_s": {"tests": took}, "saved_s": took}
    assert 0.3 <= took < 3
    line = f"skipped by conditions: tests, which took {took * 1000:g} ms before; lint, whose time is not known"
    assert line in " ".join(done.out.split())


# Conditions -------------------------------------------------------------------------------------------------------


def test_r015_outcomes_and_outputs_of_earlier_stages_decide(place: Place) -> None:
    place.pipeline({
        "build": {"run": noted('echo "kind=full" >> "$STAGEBOOK_OUTPUT"')},
        "flaky": {"run": noted("exit 1"), "needs": "build"},
        "full": {"run": noted(), "needs": "build", "when": 'stages["build"].outputs.kind == "full"'},
        "quick": {"run": noted(), "needs": "build", "when": 'stages["build"].outputs.kind == "quick"'},
        "alarm": {"run": noted(), "needs": "flaky", "join": "done", "when": 'stages["flaky"].outcome == "failure"'},
        "calm": {"run": noted(), "needs": "flaky", "join": "done", "when": 'stages["flaky"].outcome != "failure"'},
        "after": {"run": noted(), "needs": ["full", "quick"]},
    })  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 1
    assert {name: outcome for name, (outcome, _) in said(done.json).items()} == {
        "build": "success", "flaky": "failure", "full": "success", "quick": "skip", "alarm": "success",
        "calm": "skip", "after": "success",
    }  # fmt: skip
    assert sorted(place.began()) == ["after", "alarm", "build", "flaky", "full"]
    assert said(place.run("show", "last", "--json").json) == said(done.json)


def test_an_answer_that_cannot_be_had_is_an_error_of_that_stage(place: Place) -> None:
    place.pipeline({
        "build": noted(),
        "missing": {"run": noted(), "needs": "build", "when": 'stages["build"].outputs.version == "1"'},
        "zero": {"run": noted(), "when": "1 / size(branch) == 1 || 1 / size(branch) == 2"},
        "given": {"run": noted(), "needs": "build", "env": {"V": {"from": 'stages["build"].outputs.version'}}},
        "word": {"cmd": ["touch", {"from": 'stages["build"].outputs.version'}], "needs": "build"},
    })  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 4
    assert place.began() == ["build"]
    found = said(done.json)
    assert found["missing"] == ("error", 'when: stages["build"].outputs.version == "1": no such key: version')
    assert found["zero"][0] == "error" and str(found["zero"][1]).endswith(": division by zero")
    for name in ("given", "word"):
        assert found[name] == ("error", "no output version of build: it has none")


BROKEN = {
    "large": ('head -c 2000000 /dev/zero | tr "\\0" x >> "$STAGEBOOK_OUTPUT"', "is larger than 1048576 bytes"),
    "nul": ('printf "a=\\0\\n" >> "$STAGEBOOK_OUTPUT"', "line 2: a value cannot hold a NUL"),
    "name": ('echo "a.b=1" >> "$STAGEBOOK_OUTPUT"', "line 2: a name has letters"),
    "fifo": ('rm "$STAGEBOOK_OUTPUT"; mkfifo "$STAGEBOOK_OUTPUT"', "is no regular file any more"),
    "folder": ('rm "$STAGEBOOK_OUTPUT"; mkdir "$STAGEBOOK_OUTPUT"', "is no regular file any more"),
}


@pytest.mark.parametrize("reader", ["when", "env", "cmd", "all"])
@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_wrong_with_an_output_is_told_once_whoever_reads_it(place: Place, kind: str, reader: str) -> None:
    work, why = BROKEN[kind]
    given = {"from": 'stages["build"].outputs.v'}
    readers: dict[str, Any] = {
        "when": {"run": noted(), "needs": "build", "when": 'stages["build"].outcome == "success"'},
        "env": {"run": noted(), "needs": "build", "env": {"V": given}},
        "cmd": {"cmd": ["true", given], "needs": "build"},
    }  # fmt: skip
    place.pipeline({
        "build": {"run": f'echo v=1 >> "$STAGEBOOK_OUTPUT"\n{work}'},
        **{name: stage for name, stage in readers.items() if reader in (name, "all")},
    })  # fmt: skip
    done = place.run("run", "--json")
    about = [text for text in done.json["warnings"] if why in text]
    assert len(about) == 1 and about[0].startswith("build: STAGEBOOK_OUTPUT "), done
    assert place.run("show", "last", "--json").json["warnings"] == done.json["warnings"]


@pytest.mark.parametrize("words", [("--only", "given"), ("--from", "given"), ("--skip", "build")])
def test_an_output_of_a_stage_that_did_not_run_says_so(place: Place, words: tuple[str, ...]) -> None:
    place.pipeline({
        "build": {"run": noted(), "when": "params.build == 'yes'"},
        "given": {"run": noted(), "needs": "build", "join": "done",
                  "env": {"V": {"from": 'stages["build"].outputs.version'}}},
    }, params={"build": {"default": "no"}})  # fmt: skip
    found = said(place.run("run", "--json", *words).json)
    assert found["given"] == ("error", "no output version of build: it was not selected")
    assert said(place.run("run", "--json").json)["given"] == ("error", "no output version of build: it was skipped")
    assert place.began() == []


HOSTILE: list[tuple[str, str]] = [
    ("brnch == 'main'", "unknown name 'brnch', did you mean 'branch'?"),
    ("branch == 1", "`==` compares text with a whole number"),
    ("1 / 0 == 1", "division by zero"),
    ("x" * 2**20, "the expression has 1048576 characters, the limit is 4096"),
    ("(" * 2000 + "true" + ")" * 2000, "the expression is nested more than 200 deep"),
    ("branch.matches('(a+')", "bad pattern: missing ): (a+"),
]


@pytest.mark.parametrize(
    ("command", "at"), [*(("run", at) for at in range(len(HOSTILE))), ("lint", 0), ("lint", 3), ("map", 1)]
)
def test_a_bad_condition_is_refused_at_its_place_before_anything_runs(place: Place, command: str, at: int) -> None:
    when, why = HOSTILE[at]
    place.write(f'stages:\n  it:\n    run: touch "$BASE/ran"\n    when: "{when}"\n')
    told, plain = place.run(command, "--json", within_s=20), place.run(command, within_s=20)
    for done in (told, plain):
        assert done.code == 2, done
        assert why in done.said
    assert "stagebook.yaml:4:" in plain.err
    assert not (place.base / "ran").exists()


def test_a_condition_that_would_take_for_ever_ends_soon(place: Place) -> None:
    place.pipeline({
        "it": {"run": noted(), "when": "commit.files.all(f, commit.files.all(g, commit.files.all(h, f + g != h)))"},
        "re": {"run": noted(), "when": "commit.files.all(f, !commit.message.matches('(x+x+)+y'))"},
    })  # fmt: skip
    (place.folder / "many").mkdir()
    for number in range(3000):
        (place.folder / "many" / str(number)).touch()
    commit(place, "x" * 5000)
    done = place.run("run", "--json", within_s=60)
    assert done.code == 4, done
    assert str(said(done.json)["it"][1]).endswith(": more than 1000000 steps, which is the limit")
    assert place.began() == ["re"]


def test_a_secret_cannot_be_read(place: Place) -> None:
    place.pipeline({"it": {"run": noted(), "when": "env.TOKEN == 'x'"}}, secrets=["TOKEN"])
    done = place.run("lint", env={"TOKEN": "x"})
    assert done.code == 2
    assert "'TOKEN' is a secret" in done.err


# What has changed -------------------------------------------------------------------------------------------------


def test_r016_only_what_changed_runs_and_the_reason_is_told(place: Place) -> None:
    place.pipeline({
        "docs": {"run": noted(), "changed": ["docs/**"]},
        "code": {"run": noted(), "changed": ["src/**", "*.toml"]},
        "all": {"run": noted(), "changed": "**"},
    })  # fmt: skip
    commit(place, "First", "src/x")
    commit(place, "Second", "docs/x.md")
    rows = {row["stage"]: row for row in place.run("run", "--dry-run", "--json").json["stages"]}
    assert "runs: changed matches docs/x.md" in rows["docs"]["reason"]
    assert "skipped: changed: no file matches src/**, *.toml since HEAD~1" in rows["code"]["reason"]
    assert not (place.folder / ".stagebook").exists()
    done = place.run("run", "--json")
    assert said(done.json)["code"] == ("skip", "changed: no file matches src/**, *.toml since HEAD~1")
    assert sorted(place.began()) == ["all", "docs"]
    place.write("new", "src/new")
    assert said(place.run("run", "--json", "--base", "HEAD").json)["docs"][0] == "skip"
    assert sorted(place.began()) == ["all", "all", "code", "docs"]


@pytest.mark.parametrize("kind", ["none", "empty", "shallow", "bare"])
def test_r016_where_git_cannot_say_the_stage_runs_and_that_is_told(place: Place, kind: str) -> None:
    if kind == "empty":
        git(place, "init", "--quiet")
    elif kind in ("shallow", "bare"):
        commit(place, "First", "a")
        commit(place, "Second", "b")
        origin = place.folder.rename(place.base / "origin")
        place.folder.mkdir()
        option = ("--depth", "1") if kind == "shallow" else ("--bare",)
        git(place, "clone", "--quiet", *option, f"file://{origin}", ".")
    place.pipeline({"docs": {"run": noted(), "changed": ["docs/**"], "when": "commit.files.size() == 0 || true"}})
    done = place.run("run")
    assert done.code == 0, done
    assert place.began() == ["docs"]
    why = {
        "none": "this is not a git repository", "empty": "there is no commit yet",
        "shallow": "the clone is shallow and lacks the commit before", "bare": "the repository is bare",
    }[kind]  # fmt: skip
    assert why in done.said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_r016_a_repository_of_another_user_is_not_read_and_that_is_told(place: Place) -> None:
    commit(place, "First", "a")
    for path in (place.folder, place.folder / ".git"):
        os.chown(path, 12345, 12345)
    place.pipeline({"docs": {"run": noted(), "changed": ["docs/**"]}})
    done = place.run("run")
    assert (done.code, place.began()) == (0, ["docs"])
    assert "the repository belongs to another user" in " ".join(done.said.split())


def test_r016_a_huge_repository_is_looked_through_soon(place: Place) -> None:
    commit(place, "First")
    text = "".join(f"M 100644 inline src/{i % 100}/{i}\ndata 0\n\n" for i in range(100_000))
    head = "commit refs/heads/main\ncommitter a <a@example.org> 1700000000 +0000\ndata 0\n"
    subprocess.run(["git", "fast-import", "--quiet"], cwd=place.folder, env=place.env, check=True,
                   input=f"{head}from refs/heads/main^0\n{text}".encode())  # fmt: skip
    place.pipeline({
        "docs": {"run": noted(), "changed": ["docs/**"]},
        "code": {"run": noted(), "changed": ["src/99/*"]},
        "many": {"run": noted(), "when": "commit.files.size() == 10000"},
    })  # fmt: skip
    done = place.run("run", within_s=30)
    assert (done.code, place.began()) == (0, ["many"])
    assert "commit.files is cut at 10000 files" in done.out
    done = place.run("run", "--base", "HEAD", within_s=30)  # nothing was checked out: all files are gone since
    assert (done.code, place.began()) == (0, ["many", "code"])


def test_a_base_that_git_does_not_know_starts_nothing(place: Place) -> None:
    place.pipeline({"docs": {"run": noted(), "changed": ["docs/**"]}})
    commit(place, "First")
    done = place.run("run", "--base", "nowhere")
    assert (done.code, place.began()) == (2, [])
    assert "--base nowhere: git knows no such revision here" in done.err


# Quarantine -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("until", "code"), [("2999-12-31", 0), ("2020-01-31", 1)])
def test_r040_a_quarantine_holds_until_its_day(place: Place, until: str, code: int) -> None:
    place.pipeline({"flaky": {"run": noted("exit 1"), "quarantine": {"owner": "ops", "until": until}}})
    done = place.run("run")
    assert done.code == code, done
    assert place.began() == ["flaky"]
    linted = place.run("lint", "--strict")
    assert linted.code == code
    assert ("quarantine expired on 2020-01-31" in linted.err) is bool(code)


# What it costs ----------------------------------------------------------------------------------------------------


def imported(place: Place, *words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "stagebook", *words],
        cwd=place.folder, env=place.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=False,
    )  # fmt: skip
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("words", [["run", "--json"], ["lint"], ["map"], ["run", "--dry-run"]])
def test_a_pipeline_without_conditions_imports_nothing_for_them(place: Place, words: list[str]) -> None:
    stages: dict[str, Any] = {"a": "true", "b": {"run": "true", "needs": "a"}}
    place.pipeline(stages)
    heavy = {"celpy", "lark", "re2", "stagebook.condition.cel", "stagebook.condition.git"}
    assert imported(place, *words) & heavy == set()
    stages["b"]["when"] = "branch != 'x'"
    place.pipeline(stages)
    assert imported(place, *words) >= {"celpy", "stagebook.condition.cel"}
