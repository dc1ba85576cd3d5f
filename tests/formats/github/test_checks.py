"""What is wrong with a workflow beyond its shape, and where: each line that says `# CODE` has that finding, no other
line has one of these."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest

from stagebook.formats.github.checks.globs import path, ref
from stagebook.formats.github.checks.schedule import values_of
from stagebook.formats.github.read import parse
from stagebook.formats.github.triggers import matches, starts
from stagebook.formats.request import NOTHING

CASES = {
    "contexts and functions": """\
        run-name: ${{ env.X }}  # context
        on: push
        env: {A: "${{ secrets.A }}"}
        jobs:
          a:
            runs-on: ${{ matrix.os }}
            name: ${{ runner.os }}  # context
            strategy: {matrix: {os: ["${{ github.ref }}", "${{ matrix.x }}"]}}  # context
            if: secrets.A == ''  # context
            env:
              A: ${{ nobody.x }}  # unknown-context
              B: ${{ hashFiles('x') }}  # function
            steps:
              - run: echo ${{ startWith('a', 'b') }}  # expression
              - run: echo ${{ "a" }}  # expression
              - run: |
                  echo one
                  echo ${{ success() }}  # function
                if: success() && secrets.X  # context
              - run: echo ${{ github.ref  # expression
              - uses: actions/cache@v4
                with: {key: "${{ hashFiles('**/x') }}-${{ secrets.A }}-${{ job.status }}"}
                shell: bash  # unknown-key
              - {run: x, shell: "${{ env.SHELL }}"}  # context
        """,
    "types": """\
        on:
          workflow_dispatch: {inputs: {level: {type: number}, dry: {type: boolean}}}
        jobs:
          a:
            runs-on: x
            outputs: {v: "${{ steps.s.outputs.v }}", w: "${{ steps.t.outputs.w }}"}  # type
            steps:
              - run: echo ${{ steps.s.outputs.v }}  # type
              - {id: s, run: x}
              - run: echo ${{ steps.s.outputs.anything }} ${{ inputs.level }} ${{ github.event.x.y.z }}
              - run: echo ${{ inputs.nope }}  # type
              - run: echo ${{ github.nope }}  # type
              - run: echo ${{ github.ref.name }}  # type
              - run: echo ${{ github }}  # type
              - run: echo ${{ join(github.event.commits.*.id) }}
              - run: echo ${{ format('{0} {1}', github.ref) }}  # type
              - run: echo ${{ contains(github, 'x') }}  # type
              - run: echo ${{ fromJSON('{"a":[1]}').a[0] }}
              - run: echo ${{ fromJSON('{"a":[1]}').b }}  # type
              - run: echo ${{ fromJSON('{') }}  # type
              - run: echo ${{ inputs.dry > 1 }}  # type
                timeout-minutes: ${{ inputs.dry }}  # type
          b:
            needs: a
            runs-on: ${{ matrix.os }}
            strategy: {matrix: {os: [x, y], include: [{os: x, more: {deep: 1}}]}}
            steps:
              - run: echo ${{ needs.a.outputs.v }} ${{ needs.a.result }} ${{ matrix.more.deep }}
              - run: echo ${{ needs.a.outputs.x }}  # type
              - run: echo ${{ needs.b.result }}  # type
              - run: echo ${{ matrix.more.shallow }}  # type
        """,
    "defaults of inputs": """\
        on:
          workflow_call:
            inputs:
              first: {type: string, default: "${{ github.actor }}"}
              second: {type: boolean, default: "${{ inputs.first }}"}  # type
              third: {type: string, default: "${{ inputs.fourth }}"}  # type
              fourth: {type: number, default: "${{ inputs.third == 'x' && 1 || 2 }}"}
        jobs: {a: {runs-on: x, steps: [{run: x}]}}
        """,
    "names": """\
        on: push
        env: {A=B: 1}  # env
        permissions: {contents: wrote, nope: read, id-token: write}  # permissions
        jobs:
          1st:  # id
            runs-on: x
            permissions: {models: write}  # permissions
            steps: [{run: x}]
          a:
            runs-on: x
            steps:
              - {id: s, run: x}
              - {id: S, run: x}  # duplicate-id
              - {id: s.t, run: x}  # id
              - {wait: nobody}  # unknown-step
              - &anchor {run: x}  # anchor
              - uses: nonsense  # uses
        """,
    "events": """\
        on:
          pushed:  # unknown-event
          push:
            branches: [main, "a b", "x[", "v[9-0]"]  # pattern filter
            branches-ignore: [x]  # filter
            paths: ["./a"]  # pattern
            branch: x  # unknown-key
          pull_request:
            types: [opened, opend]  # event
            tags: [x]  # filter
          schedule:
            - cron: "*/5 * * * *"
            - cron: "* * * * *"  # schedule
            - cron: "1 2 3"  # schedule
            - cron: "61 * * * *"  # schedule
            - {cron: "0 0 * * mon-fri", timezone: Europe/Nowhere}  # schedule
          workflow_dispatch:
            inputs:
              a: {type: choice}  # input
              b: {type: choice, options: [x, x], default: z}  # input
              c: {type: boolean, default: often}  # input
              d: {type: nothing}  # input
        jobs: {a: {runs-on: x, steps: [{run: x}]}}
        """,
    "running": """\
        on: push
        jobs:
          a:
            runs-on: [ubuntu-latest, windows-latest]  # label
            container: {image: x, credentials: {username: u, password: p}}  # credentials
            steps: [{run: x, shell: fish}]  # shell
          b:
            runs-on: windows-latest
            steps:
              - {run: x, shell: sh}  # shell
              - {run: x, shell: "perl {0}"}
              - run: |
                  echo one
                  echo "::set-output name=a::b"  # command
          c:
            runs-on: ubuntu-18.04  # label
            strategy:
              matrix:
                x: [1, 2, 1]  # matrix
                y: [{a: 1, b: 2}]
                exclude:
                  - {x: 3}  # matrix
                  - {y: {a: 1}}
                  - {z: 1}  # matrix
            steps: [{run: x}]
          d:
            runs-on: x
            if: true  # constant-condition
            steps:
              - {run: x, if: "${{ github.ref }} == 'x'"}  # condition
              - {run: x, if: "github.ref == 'x'"}
        """,
}


def expected_in(text: str) -> set[tuple[int, str]]:
    lines = enumerate(text.splitlines(), 1)
    return {(number, code) for number, line in lines for code in line.partition("  # ")[2].split()}


CODES = {code for text in CASES.values() for _, code in expected_in(text)}


@pytest.mark.parametrize("name", CASES)
def test_it_is_said_on_its_line_and_nowhere_else(name: str) -> None:
    text = dedent(CASES[name])
    bare = re.sub(r"  # [a-z -]+$", "", text, flags=re.M)
    found = {(each.line, each.code) for each in parse(bare.encode(), "/nowhere/ci.yml", NOTHING)[1]}
    assert {each for each in found if each[1] in CODES} == expected_in(text)


def test_an_expression_is_placed_by_line_and_column() -> None:
    steps = "      - run: |\n          one\n          two ${{ nope.x }}\n"
    text = f"on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n{steps}"
    assert [(each.line, each.col) for each in parse(text.encode(), "/nowhere/ci.yml", NOTHING)[1]] == [(8, 19)]


def test_merge_keys_are_refused_and_anchors_are_not() -> None:
    head = "on: push\njobs:\n  a: &a {runs-on: x, steps: [{run: x}]}\n"
    assert parse((head + "  b: *a\n").encode(), "/nowhere/ci.yml", NOTHING)[0] is not None
    refused = parse((head + "  b:\n    <<: *a\n").encode(), "/nowhere/ci.yml", NOTHING)
    assert refused[0] is None
    assert [(each.line, each.code) for each in refused[1]] == [(5, "merge-key")]


@pytest.mark.parametrize(
    ("pattern", "judge", "is_right"),
    [
        ("**", ref, True), ("release/*.*", ref, True), ("v[12].[0-9]+", ref, True), ("/x", ref, False),
        ("!", ref, False), ("a^b", ref, False), ("+x", ref, False), ("a**+", ref, False), ("**/*.js", path, True),
        ("!docs/**", path, True), ("../x", path, False), (" x", path, False),
    ],
)  # fmt: skip
def test_patterns(pattern: str, judge: object, is_right: bool) -> None:
    assert (judge(pattern) is None) is is_right  # type: ignore[operator]


def test_fields_of_cron() -> None:
    assert values_of("*/20", 0, 59, (), 0) == {0, 20, 40}
    assert values_of("1-3,7", 0, 59, (), 0) == {1, 2, 3, 7}
    assert values_of("tue-thu", 0, 7, ("sun", "mon", "tue", "wed", "thu"), 0) == {2, 3, 4}
    assert [values_of(text, 0, 59, (), 0) for text in ("", "60", "3-1", "a", "*/0", "1--2")] == [None] * 6


def test_what_starts_a_workflow() -> None:
    triggers = {"push": {"branches": ["main", "release/**", "!release/old"], "paths": ["src/**"]}, "pull_request": {}}
    refs = ("main", "release/new", "release/old", "x", "refs/tags/v1")
    assert [starts(triggers, "push", each) for each in refs] == [None, None, False, False, False]
    assert (starts(triggers, "pull_request", "x"), starts(triggers, "schedule")) == (True, False)
    assert starts({"push": {"tags": ["v*"]}}, "push", "refs/tags/v1") is True
    assert matches(["**/a*"], "x/y/ab") and not matches(["*"], "x/y")
