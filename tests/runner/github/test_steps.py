"""The steps of a job in order: what each sees of those before it, when it runs, how it fails, what other jobs get."""

from __future__ import annotations

import os

import pytest
from tests.runner.github.playing import Player

from stagebook.runner.here import End


def test_outputs_variables_and_paths_reach_later_steps(player: Player) -> None:
    done = player.play("""\
        on: push
        env: {TOP: top, SHADOWED: workflow}
        jobs:
          it:
            runs-on: ubuntu-latest
            env: {SHADOWED: "${{ format('{0}!', 'job') }}", FROM_GITHUB: "${{ github.event_name }}"}
            outputs: {version: "${{ steps.say.outputs.version }}", both: "${{ steps.say.outputs.two-lines }}"}
            steps:
              - id: say
                run: |
                  echo version=1.2 >> "$GITHUB_OUTPUT"
                  printf 'two-lines<<EOF\\na=1\\nb\\nEOF\\n' >> "$GITHUB_OUTPUT"
                  echo SET=later >> "$GITHUB_ENV"
                  mkdir bin && printf '#!/bin/sh\\necho called\\n' > bin/mine && chmod +x bin/mine
                  echo "$PWD/bin" >> "$GITHUB_PATH"
              - run: |
                  echo "$TOP $SHADOWED $FROM_GITHUB $SET $OWN ${{ steps.say.outputs.version }} ${{ env.OWN }}"
                  mine
                env: {OWN: "${{ env.SET }}!"}
              - run: echo "own=[$OWN] ci=$CI $GITHUB_JOB $RUNNER_OS"
        """)
    assert done.code == 0, done.log
    done.says("top job! push later later! 1.2 later!\ncalled\n", "own=[] ci=true it Linux")
    assert done.outputs == {"version": "1.2", "both": "a=1\nb"}


def test_a_step_that_fails_ends_the_job_but_for_steps_that_ask_for_it(player: Player) -> None:
    done = player.steps("""\
        - run: echo one
        - {name: Break it, id: bad, run: exit 7}
        - run: echo never
        - {if: failure(), run: "echo failed ${{ steps.bad.outcome }} ${{ steps.bad.conclusion }}"}
        - {if: "always() && steps.bad.outcome == 'failure'", run: "echo always ${{ job.status }}"}
        - {if: success(), run: echo never}
        - {if: "${{ github.ref }}", run: echo never}
        """)
    assert done.code == 7
    done.says("one\n", "failed failure failure", "always failure")
    done.says('ERROR: step "Break it" (.github/workflows/ci.yml:7) failed with exit 7')
    assert "\nnever" not in done.log


def test_a_failure_that_is_allowed_is_none(player: Player) -> None:
    done = player.steps("""\
        - {id: bad, run: exit 3, continue-on-error: "${{ github.event_name == 'push' }}"}
        - run: echo "went on ${{ steps.bad.outcome }} ${{ steps.bad.conclusion }} ${{ job.status }}"
        """)
    assert done.code == 0
    done.says("went on failure success success", "which its file allows")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {run: echo x, shell: nonsense}", "nonsense"),
        ("- {run: echo x, working-directory: nowhere}", "working-directory: nowhere is not there"),
        ("- {run: echo x, if: \"fromJSON('nope')\"}", "no JSON"),
        ("- {run: \"echo ${{ fromJSON('') }}\"}", "empty text"),
        ("- {run: echo nonsense >> $GITHUB_ENV}", "GITHUB_ENV: line 1: NAME=VALUE expected"),
        ("- {run: 'echo \"GITHUB_SHA=x\" >> $GITHUB_ENV'}", "GITHUB_SHA cannot be set"),
        ("- {run: 'echo \"a<<X\" >> $GITHUB_OUTPUT'}", "no line 'X' ends the value of a"),
        ("- {run: sleep 30, timeout-minutes: 0.003}", "it took more than 0.003 minutes"),
        ("- {run: 'echo ::set-env name=a::b'}", "disabled"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_fails_the_step_with_a_reason(player: Player, text: str, said: str) -> None:
    done = player.steps(f"{text}\n- {{run: echo never}}\n- {{if: failure(), run: echo over}}")
    assert done.code != 0
    done.says(said, "ci.yml:6) failed", "over\n")
    assert "\nnever" not in done.log


def test_shells(player: Player) -> None:
    done = player.steps("""\
        - {run: 'echo "default: $-"; false | true'}
        - {shell: bash, run: "echo bash $BASH_VERSION"}
        - {shell: bash, run: "false | true", continue-on-error: true, id: pipe}
        - {shell: sh, run: "echo sh $0"}
        - {shell: python, run: "print('python', 6 * 7)"}
        - {shell: "bash -c 'echo custom $(cat {0})'", run: text}
        - run: echo "pipefail ${{ steps.pipe.outcome }}"
        """)
    assert done.code == 0, done.log
    done.says("default: ehB", "bash 5", "sh /", "python 42", "custom text", "pipefail failure")


def test_defaults_and_directories(player: Player) -> None:
    done = player.play("""\
        on: push
        defaults: {run: {shell: sh, working-directory: sub}}
        jobs:
          it:
            runs-on: ubuntu-latest
            defaults: {run: {working-directory: other}}
            steps:
              - {run: mkdir sub other, working-directory: .}
              - run: basename $PWD; test -z "$BASH_VERSION"
              - {run: basename $PWD, working-directory: sub}
        """)
    assert done.code == 0, done.log
    done.says("other\n", "sub\n")


def test_needs_matrix_and_strategy_are_there(player: Player) -> None:
    workflow = """\
        on: push
        jobs:
          build: {runs-on: x, steps: [{run: "true"}], outputs: {v: "1"}}
          it:
            needs: build
            if: always()
            runs-on: ubuntu-latest
            strategy: {matrix: {n: [1, 2.5], deep: [{a: [x]}]}}
            steps:
              - run: |
                  echo "${{ needs.build.result }} ${{ needs.build.outputs.v }} ${{ toJSON(matrix.n) }} ${{ matrix.deep.a[0] }}"
                  echo "${{ strategy.job-index }} of ${{ strategy.job-total }}"
        """  # noqa: E501
    job_id = "it[deep=x,n=2.5]"
    ends = {"build": End("failure", False, {"v": "7"})}
    try:
        done = player.play(workflow, job_id, ends)
    except ValueError:
        done = player.play(workflow, "it[n=2.5,deep=x]", ends)
    assert done.code == 0, done.log
    done.says("failure 7 2.5 x", "1 of 2")


def test_a_need_that_the_run_was_not_asked_for_is_taken_as_done(player: Player) -> None:
    workflow = """\
        on: push
        jobs:
          build: {runs-on: x, steps: [{run: "true"}]}
          it: {needs: build, runs-on: x, steps: [{run: "echo ${{ needs.build.result }}"}]}
        """
    player.play(workflow, ends={"build": End("skip", False, {}, True)}).says("success\n")
    player.play(workflow, ends={"build": End("skip", False, {})}).says("skipped\n")


def test_secrets_are_seen_by_expressions_only_and_leave_no_trace(player: Player) -> None:
    player.environ.update(TOKEN="hush-hush", OTHER="unseen")
    done = player.play("""\
        on: push
        jobs:
          it:
            runs-on: ubuntu-latest
            outputs: {leak: "x${{ secrets.TOKEN }}", fine: "${{ secrets.MISSING }}."}
            steps:
              - run: echo "[$TOKEN] ${{ secrets.TOKEN }} $GIVEN"; test "$GIVEN" = hush-hush
                env: {GIVEN: "${{ secrets.token }}"}
              - run: |
                  echo "::add-mask::quiet"
                  echo "be quiet" | tee -a $GITHUB_STEP_SUMMARY
              - run: echo still quiet
        """)
    assert done.code == 0, done.log
    assert "hush" not in done.log
    assert "quiet" not in done.log.replace("tee -a", "").replace("::add-mask::quiet", "")
    done.says("[] *** ***", "be ***", "still ***", "output leak is left out")
    assert done.outputs == {"fine": "."}
    summaries = os.path.join(done.here.directory, "summaries")
    with open(os.path.join(summaries, os.listdir(summaries)[0])) as summary:
        assert summary.read() == "be ***\n"


def test_hash_files(player: Player) -> None:
    player.write("a/x.lock", "1")
    player.write("b.lock", "2")
    done = player.steps("""\
        - uses: actions/checkout@v4
        - run: |
            echo "all=${{ hashFiles('**/*.lock') }}"
            echo "not=${{ hashFiles('**/*.lock', '!a/**') }}"
            echo "one=${{ hashFiles('b.lock') }}"
            echo "none=[${{ hashFiles('*.none') }}]"
        """)
    values = dict(line.split("=") for line in done.log.splitlines() if "=" in line and "==" not in line)
    assert values["none"] == "[]"
    assert values["not"] == values["one"] != values["all"]
    assert len(values["all"]) == 64


def test_containers_and_services_are_named_where_nothing_stands_for_them(player: Player) -> None:
    done = player.play("""\
        on: push
        jobs:
          it:
            runs-on: ubuntu-latest
            container: {image: "python:3", env: {INSIDE: "yes"}}
            services: {db: {image: "postgres:16", ports: ["5432:5432"]}, none: {image: "${{ github.nothing }}"}}
            steps: [{run: 'echo "$INSIDE"'}]
        """)
    assert done.code == 70
    done.says("image python:3 is not used", "service db: nothing here stands for image postgres:16")
    player.local["images"] = {"postgres:*": "", "python:*": "env MAPPED=1"}
    done = player.play((player.folder / ".github/workflows/ci.yml").read_text().replace("$INSIDE", "$INSIDE $MAPPED"))
    assert done.code == 0, done.log
    done.says("yes 1\n")


def test_a_matrix_that_is_known_only_now_is_done_cell_by_cell(player: Player) -> None:
    workflow = """\
        on: push
        jobs:
          plan: {runs-on: x, outputs: {cells: "1"}, steps: [{run: "true"}]}
          it:
            needs: plan
            runs-on: ubuntu-latest
            strategy: {matrix: {n: "${{ fromJSON(needs.plan.outputs.cells) }}", os: [a]}, fail-fast: false}
            steps:
              - run: test ! -e seen && touch seen && echo "${{ matrix.n }}-${{ matrix.os }} ${{ strategy.job-index }}"
              - run: exit ${{ matrix.n }}
        """
    done = player.play(workflow, ends={"plan": End("success", False, {"cells": "[0, 3, 4]"})})
    assert done.code == 3
    done.says("== Cell 1 of 3: 0, a", "0-a 0\n", "3-a 1\n", "4-a 2\n")
    done = player.play(workflow, ends={"plan": End("success", False, {"cells": "7"})})
    assert done.code == 1
    done.says("lists of values by name are expected")


def test_a_job_that_is_stopped_stops_its_step_and_runs_those_that_ask_for_it(player: Player) -> None:
    done = player.steps("""\
        - run: kill -TERM $PPID; sleep 600
        - run: echo never
        - {if: always(), run: "echo always ${{ job.status }}"}
        - {if: cancelled(), run: echo cancelled}
        - {if: failure(), run: echo never}
        """)
    assert done.code == 143
    done.says("stopped", "always cancelled", "cancelled\n")
    assert "\nnever" not in done.log


def test_a_server_that_a_step_leaves_behind_serves_later_steps(player: Player) -> None:
    done = player.steps("""\
        - run: |
            (while test -e "$PWD" && ! test -e stop; do test -e ask && /bin/echo asked && mv ask answer; sleep 0.02; done) &
        - run: touch ask; for i in $(seq 500); do test -e answer && break; sleep 0.02; done; test -e answer; touch stop
        """)
    assert done.code == 0, done.log
    assert "asked\n" not in done.log
