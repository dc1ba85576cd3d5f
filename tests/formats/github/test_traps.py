"""What the text of a workflow holds against itself: each trap where it is one, and silence where it only looks so."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagebook.formats.load import parse, traps
from stagebook.graph.findings import Finding


def found(tmp_path: Path, text: str) -> list[Finding]:
    file = tmp_path / ".github" / "workflows" / "ci.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    pipeline, problems = parse(text.encode(), str(file))
    assert pipeline is not None, problems
    return traps(pipeline)


def steps(tmp_path: Path, on: str, *lines: str, code: str = "script-injection") -> list[tuple[int, str]]:
    """Lines and levels of the findings on a job with these steps, the first of which begins on line 6."""
    body = "".join(f"      {line}\n" for line in lines)
    text = f"on: [{on}]\njobs:\n  a:\n    runs-on: x\n    steps:\n{body}"
    return [(each.line, each.level) for each in found(tmp_path, text) if each.code == code]


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["- run: echo ${{ github.event.issue.title }}"], 6),
        (["- run: |", "    true", "    echo '${{ github.event.issue.body }}'"], 8),
        (["- run: >", "    echo", "    ${{ github.event.comment.body }}"], 8),
        (['- run: "echo ${{ github.event.issue.title }}"'], 6),
        (["- run: echo ${{ format('{0}', github.event.issue.title) }}"], 6),
        (["- run: echo ${{ github.event['issue'].title || 'none' }}"], 6),
        (["- run: echo ${{ GitHub.Event.Issue.Title }}"], 6),
        (
            [
                "- uses: actions/github-script@v7",
                "  with:",
                "    script: |",
                "      x('${{ github.event.issue.title }}')",
            ],
            9,
        ),
    ],
)
def test_text_of_strangers_in_code(tmp_path: Path, lines: list[str], line: int) -> None:
    assert steps(tmp_path, "issues, issue_comment", *lines) == [(line, "warning")]


@pytest.mark.parametrize(
    "lines",
    [
        ["- run: echo $TITLE", "  env: {TITLE: '${{ github.event.issue.title }}'}"],
        ["- run: echo ${{ contains(github.event.issue.title, 'x') }}"],
        ["- run: echo ${{ github.event.issue.title == 'x' && 'yes' || 'no' }}"],
        ["- run: echo ${{ github.event.issue.number }} ${{ github.sha }}"],
        ["- run: make", "  if: github.event.issue.title"],
        ["- uses: some/action@v1", "  with: {title: '${{ github.event.issue.title }}'}"],
    ],
)
def test_text_of_strangers_that_stays_text(tmp_path: Path, lines: list[str]) -> None:
    assert steps(tmp_path, "issues", *lines) == []


def test_on_pull_request_it_is_a_note(tmp_path: Path) -> None:
    assert steps(tmp_path, "pull_request", "- run: git checkout ${{ github.head_ref }}") == [(6, "note")]


def test_what_no_event_of_the_file_brings_is_empty(tmp_path: Path) -> None:
    assert steps(tmp_path, "push", "- run: git checkout ${{ github.head_ref }}") == []
    assert steps(tmp_path, "workflow_call", "- run: git checkout ${{ github.head_ref }}") == [(6, "note")]


CHECKOUT = [
    "- uses: actions/checkout@v4",
    "  with:",
    "    ref: ${{ github.event.pull_request.head.sha }}",
    "- run: make",
]


@pytest.mark.parametrize(
    ("on", "lines", "expected"),
    [
        ("pull_request_target", CHECKOUT, [(8, "warning")]),
        ("pull_request", CHECKOUT, []),
        ("pull_request_target", CHECKOUT[:3], []),
        ("pull_request_target", [CHECKOUT[0], CHECKOUT[3]], []),
        ("pull_request_target", ["- if: github.event.pull_request.head.repo.fork == false", *CHECKOUT[:1]], []),
    ],
)
def test_foreign_code_with_rights(tmp_path: Path, on: str, lines: list[str], expected: list[tuple[int, str]]) -> None:
    lines = (
        ["- if: github.event.pull_request.head.repo.fork == false", "  run: true"] if lines[0][2:4] == "if" else lines
    )
    assert steps(tmp_path, on, *lines, code="untrusted-checkout") == expected


def test_jobs_without_a_timeout_are_one_finding(tmp_path: Path) -> None:
    text = (
        "on: push\njobs:\n  a: {runs-on: x, steps: [{run: a}]}\n"
        "  b: {runs-on: x, timeout-minutes: 5, steps: [{run: b}]}\n"
        "  c: {runs-on: x, steps: [{run: c, timeout-minutes: 5}]}\n  d: {runs-on: x, steps: [{run: d}]}\n"
    )
    (one,) = [each for each in found(tmp_path, text) if each.code == "no-timeout"]
    assert (one.line, one.level, one.stages) == (3, "note", ("a", "d"))


@pytest.mark.parametrize(
    ("top", "job", "is_found"),
    [
        ("on: push", "environment: production", True),
        ("on: push", "environment: {name: staging, url: 'https://x'}", True),
        ("on: push\nconcurrency: one", "environment: production", False),
        ("on: push", "environment: production\n    concurrency: {group: a}", False),
        ("on: {push: {tags: ['v*']}}", "environment: production", False),
        ("on: push", "environment: pypi", False),
        ("on: pull_request", "environment: production", False),
        ("on: push", "name: x", False),
    ],
)
def test_deployments_that_may_overtake_each_other(tmp_path: Path, top: str, job: str, is_found: bool) -> None:
    text = f"{top}\njobs:\n  ship:\n    runs-on: x\n    {job}\n    steps: [{{run: ./ship}}]\n"
    assert any(each.code == "no-concurrency" for each in found(tmp_path, text)) is is_found


def test_a_file_that_is_gone_or_no_workflow_has_none(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    text = "on: push\njobs: {a: {runs-on: x, steps: [{run: a}]}}\n"
    pipeline, _ = parse(text.encode(), str(file))
    assert pipeline is not None
    assert traps(pipeline) == []
    file.write_text("- 1\n")
    assert traps(pipeline) == []
