"""Workflows of GitHub Actions run here: jobs in the order of their needs, what passes between them, secrets hidden, and
failures told with the line of the step.
"""

from __future__ import annotations

import re
import signal
import subprocess

import pytest
from tests.door.place import Place

WORKFLOW = """\
name: CI
on: push
jobs:
  plan:
    runs-on: ubuntu-latest
    outputs:
      list: ${{ steps.make.outputs.list }}
      go: ${{ steps.make.outputs.go }}
    steps:
      - uses: actions/checkout@v4
      - id: make
        run: |
          echo 'list=["x", "y"]' >> "$GITHUB_OUTPUT"
          printf 'go<<E\\nline one\\nyes\\nE\\n' >> "$GITHUB_OUTPUT"
          cat app.txt > built.txt
      - {uses: actions/upload-artifact@v4, with: {name: built, path: built.txt}}
  each:
    needs: plan
    runs-on: ubuntu-latest
    strategy: {matrix: {v: "${{ fromJSON(needs.plan.outputs.list) }}"}}
    steps: [{run: "echo cell ${{ matrix.v }}"}]
  fixed:
    needs: plan
    runs-on: ubuntu-latest
    strategy: {matrix: {n: [1, 2]}, fail-fast: false}
    steps:
      - {uses: actions/download-artifact@v4, with: {name: built}}
      - run: grep hello built.txt
      - {name: Break the second, run: "test ${{ matrix.n }} != 2 || exit 9"}
  skipped: {if: "github.ref == 'refs/heads/other'", runs-on: x, steps: [{run: "false"}]}
  behind: {needs: skipped, runs-on: x, steps: [{run: "false"}]}
  right: {needs: plan, if: "contains(needs.plan.outputs.go, 'yes')", runs-on: x, steps: [{run: "echo right"}]}
  rescue:
    needs: [fixed, right]
    if: failure() && needs.right.result == 'success'
    runs-on: x
    steps: [{run: "echo rescue ${{ needs.fixed.result }}"}]
  tidy: {needs: [behind, fixed], if: always(), runs-on: x, steps: [{run: "echo ${{ toJSON(needs.behind.result) }}"}]}
"""


@pytest.fixture
def repository(place: Place) -> Place:
    place.write("hello\n", "app.txt")
    for words in (["init", "-q", "-b", "main"], ["add", "app.txt"], ["commit", "-q", "-m", "First"]):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, *words], cwd=place.folder, env=place.env, check=True)
    return place


def test_a_workflow_runs_in_the_order_of_its_needs(repository: Place) -> None:
    repository.write(WORKFLOW, ".github/workflows/ci.yml")
    refused = repository.run("run")
    assert refused.code == 2
    assert "not been trusted yet" in refused.err
    done = repository.run("run", "--json", "--yes")
    assert done.code == 1, done.said
    assert {stage["stage"]: (stage["outcome"], stage["reason"]) for stage in done.json["stages"]} == {
        "plan": ("success", None),
        "each": ("success", None),
        "fixed[n=1]": ("success", None),
        "fixed[n=2]": ("failure", "exit 9"),
        "skipped": ("skip", "if: github.ref == 'refs/heads/other'"),
        "behind": ("skip", "if: success(): skipped was skipped"),
        "right": ("success", None),
        "rescue": ("success", None),
        "tidy": ("success", None),
    }
    logs = {stage: repository.run("logs", "last", stage).out for stage in ("each", "fixed[n=2]", "rescue", "tidy")}
    assert "cell x\n" in logs["each"] and "cell y\n" in logs["each"]
    assert 'ERROR: step "Break the second" (.github/workflows/ci.yml:29) failed with exit 9' in logs["fixed[n=2]"]
    assert "rescue failure" in logs["rescue"]
    assert '"skipped"' in logs["tidy"]
    assert not (repository.folder / "built.txt").exists(), "the user's own folder stays as it is"
    steps = repository.run("map", "--steps").out.partition("steps of fixed")[2]
    assert re.search(r"2 +Run grep hello built.txt +\d+ ms", steps), "how long steps took is known to the map"


def test_one_job_alone_takes_its_needs_as_done(repository: Place) -> None:
    repository.write(WORKFLOW, ".github/workflows/ci.yml")
    done = repository.run("run", "--yes", "--only", "tidy", "--only", "rescue", "--json")
    assert done.code == 0, done.said
    ended = {stage["stage"]: (stage["outcome"], stage["reason"]) for stage in done.json["stages"]}
    assert ended["tidy"] == ("success", None)
    assert ended["rescue"] == ("skip", "if: failure() && needs.right.result == 'success'")
    assert '"success"' in repository.run("logs", "last", "tidy").out


def test_secrets_stay_hidden_and_reach_what_is_given_them(repository: Place) -> None:
    repository.write(
        "on: push\njobs:\n  it:\n    runs-on: x\n    outputs: {leak: '${{ secrets.TOKEN }}'}\n    steps:\n"
        "      - {run: 'echo \"[$T] [$TOKEN] ${{ secrets.NONE }}.\"', env: {T: '${{ secrets.TOKEN }}'}}\n"
        "      - {run: exit 3, continue-on-error: true}\n"
        "      - run: exit 4\n      - {if: always(), run: echo tidy}\n",
        ".github/workflows/ci.yml",
    )
    (repository.base / "secrets").write_text("TOKEN=hush-hush-hush\n")
    (repository.base / "secrets").chmod(0o600)
    done = repository.run("run", "--yes", "--secret-file", str(repository.base / "secrets"), "--output", "group")
    assert done.code == 1
    assert "[***] [] ." in done.said
    assert "hush" not in done.said
    assert "output leak is left out" in done.said
    assert 'the job failed by step "Run exit 4" (.github/workflows/ci.yml:9): exit 4' in done.said


def test_a_dry_run_says_what_conditions_come_to(repository: Place) -> None:
    repository.write(WORKFLOW, ".github/workflows/ci.yml")
    rows = {row["stage"]: row for row in repository.run("run", "--dry-run", "--json").json["stages"]}
    assert rows["skipped"]["action"] == rows["behind"]["action"] == "skip"
    assert rows["skipped"]["reason"].endswith("github.ref is 'refs/heads/main'")
    assert "decided when its needs have ended" in rows["right"]["reason"]
    assert "runs: if: always()" in rows["tidy"]["reason"]


def test_actions_that_nothing_stands_for_are_told_before_anything_runs(repository: Place) -> None:
    repository.write(
        "on: push\njobs:\n  it:\n    runs-on: x\n    steps:\n      - {uses: actions/checkout@v4}\n"
        "      - {uses: Owner/Action/sub@v1}\n      - {uses: 'docker://alpine'}\n      - {uses: ./here}\n"
        "      - {run: make, if: 'failure()'}\n      - {uses: o/sometimes@v1, if: \"github.ref == 'refs/heads/x'\"}\n",
        ".github/workflows/ci.yml",
    )
    for words in (["--dry-run"], ["--yes"]):
        done = repository.run("run", *words)
        assert done.code == 2
        assert (
            "ci.yml:7: error: nothing here stands for the action Owner/Action/sub@v1: its step cannot run" in done.err
        )
        assert "ci.yml:8: error: nothing here stands for the action docker://alpine" in done.err
        assert "--uses skip leaves it out" in done.err
        assert "checkout" not in done.err and "./here" not in done.err and "o/sometimes" not in done.err
    assert not repository.run_ids()
    assert "its step is left out" in repository.run("run", "--dry-run", "--uses", "skip").err
    assert "sub@v1" not in repository.run("run", "--dry-run", "--include", "Owner/Action=.").err


def test_a_secret_in_a_line_that_is_long_stays_hidden(repository: Place) -> None:
    repository.write(
        """\
on: push
jobs:
  a:
    runs-on: x
    steps:
      - env: {T: "${{ secrets.TOK }}"}
        shell: python
        run: |
          import os
          print((os.environ["T"] + ",") * 9000)
          print("::add-mask::" + "M4SK".lower() * 3)
          print("M4SK".lower() * 30000)
          print(" " * 70000 + ":end", end="")
      - run: echo after
""",
        ".github/workflows/ci.yml",
    )
    (repository.base / "secrets").write_text("TOK=hush-5f2c8e1d\n")
    (repository.base / "secrets").chmod(0o600)
    done = repository.run("run", "--yes", "--secret-file", str(repository.base / "secrets"))
    assert done.code == 0, done
    lines = repository.run("logs", "last", "a").out.splitlines()
    assert "***," * 9000 in lines
    assert "***" * 10000 in lines
    assert [line[-5:] for line in lines if line.endswith((":end", "after"))] == [" :end", "after"]
    assert not any(part in line for line in lines for part in ("hush", "5f2c", "8e1d", "m4sk"))


DEAF = """\
on: push
jobs:
  a:
    runs-on: x
    steps:
      - run: 'trap "" TERM INT; echo "$STAGEBOOK_STAGE 1 $$ begin" >> "$LEDGER"; sleep 61'
      - {if: cancelled(), run: 'echo "$STAGEBOOK_STAGE 1 0 tidy" >> "$LEDGER"'}
"""


def test_a_step_that_hears_no_signal_does_not_cost_what_cleans_up(repository: Place) -> None:
    repository.write(DEAF, ".github/workflows/ci.yml")
    begun = repository.start("run", "--yes")
    repository.wait_for("a")
    begun.send(signal.SIGTERM)
    assert begun.wait().code == 143
    assert repository.began() == ["a"]
    repository.wait_for("a", "tidy")
    assert not repository.left(5)


def test_an_action_that_was_not_read_when_its_file_was_trusted_does_not_run(repository: Place) -> None:
    repository.write(
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {uses: actions/checkout@v4, with: {path: sub}}\n"
        "      - {uses: ./sub/act}\n",
        ".github/workflows/ci.yml",
    )
    (repository.folder / "act").mkdir()
    action = "runs: {using: composite, steps: [{shell: sh, run: 'echo ran >> \"$BASE/ran\"'}]}\n"
    repository.write(action, "act/action.yml")
    assert repository.run("run", "--yes").code == 0
    assert repository.run("run").code == 0
    repository.write(action + "# changed\n", "act/action.yml")
    assert repository.run("run").code == 2
    repository.write(
        (repository.folder / ".github/workflows/ci.yml").read_text() + "      - {uses: ./../outact}\n",
        ".github/workflows/ci.yml",
    )
    done = repository.run("lint")
    assert (done.code, "ci.yml:8:16: error: `./../outact` leads out of the repository" in done.said) == (2, True)
    assert (repository.base / "ran").read_text() == "ran\nran\n"


def test_an_action_that_may_not_be_reached_is_a_warning(repository: Place) -> None:
    repository.write(
        "on: push\njobs:\n  it:\n    runs-on: x\n    steps:\n      - {run: 'true'}\n"
        "      - {uses: o/sometimes@v1, if: \"github.ref == 'refs/heads/x'\"}\n"
        "  other:\n    if: github.ref == 'refs/heads/x'\n    runs-on: windows-latest\n"
        "    steps: [{uses: o/never@v1}]\n",
        ".github/workflows/ci.yml",
    )
    done = repository.run("run", "--yes")
    assert done.code == 0, done
    assert "ci.yml:7: warning: nothing here stands for the action o/sometimes@v1: its step fails if" in done.err
    assert "o/never" not in done.err


def test_a_workflow_of_which_nothing_is_left_is_no_success(repository: Place) -> None:
    repository.write(
        "on: push\njobs:\n  it:\n    runs-on: x\n    steps:\n      - {uses: actions/checkout@v4}\n"
        "      - {uses: o/publish@v1}\n  alone:\n    runs-on: x\n    steps: [{uses: o/deploy@v1}]\n"
        "  never: {if: \"github.ref == 'x'\", runs-on: x, steps: [{run: echo}]}\n",
        ".github/workflows/ci.yml",
    )
    for words in (["--dry-run"], ["--yes"]):
        done = repository.run("run", *words, "--uses", "skip")
        assert done.code == 2
        assert "ci.yml:3:3: error: job `it` cannot run here: but for set-up all of its steps are left out" in done.err
    assert not repository.run_ids()


def test_what_is_left_out_is_a_warning_of_the_run(repository: Place) -> None:
    repository.write(
        "on: push\njobs:\n  it:\n    runs-on: x\n    steps:\n      - {run: echo work}\n"
        "      - {uses: o/publish@v1}\n  gone:\n    runs-on: x\n    steps: [{uses: o/deploy@v1}]\n"
        "  pane: {runs-on: windows-latest, steps: [{run: dir}]}\n",
        ".github/workflows/ci.yml",
    )
    refused = repository.run("run", "--uses", "skip", "--dry-run")
    assert refused.code == 2
    assert "job `pane` cannot run here: it asks for windows-latest, and this machine has linux" in refused.err
    skip = ("--uses", "skip", "--unplayable", "skip")
    dry = repository.run("run", *skip, "--dry-run")
    assert "would run 1 of 3 stages" in dry.out
    assert "cannot run here: it asks for windows-latest" in dry.out
    done = repository.run("run", "--yes", *skip, "--json")
    assert done.code == 0, done
    [warning] = done.json["warnings"]
    assert warning.startswith("it: o/publish@v1 (.github/workflows/ci.yml:7) is left out")
    assert {each["stage"]: each["outcome"] for each in done.json["stages"]} == {
        "it": "success", "gone": "skip", "pane": "skip"
    }  # fmt: skip
    assert "o/publish@v1" in repository.run("show", "last").out


def test_whatever_a_job_is_called_its_path_has_nothing_that_tools_take_apart(repository: Place) -> None:
    """`-Wl,--version-script,PATH` for one ends at a comma."""
    repository.write(
        """\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    strategy: {matrix: {os: ["Linux, 64 bit: 100 % = $(x)"], compiler: [gcc]}}
    steps: [{run: 'case "${PWD#"$HERE"}" in *[!A-Za-z0-9._/-]*) pwd; exit 1;; esac'}]
""",
        ".github/workflows/ci.yml",
    )
    done = repository.run("run", "--yes", env={"HERE": str(repository.folder)})
    assert done.code == 0, done
