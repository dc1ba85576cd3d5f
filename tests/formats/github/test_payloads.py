"""What workflows ask of the payload of their events, and of contexts, that is not there."""

from __future__ import annotations

import pytest
from tests.formats.github.test_read import said


def payloads(on: str, rest: str) -> list[tuple[int, str]]:
    text = f"on: {on}\n{rest}\njobs:\n  a:\n    runs-on: x\n    steps: [{{run: x}}]\n"
    return [(each.line, each.message) for each in said(text) if each.code == "payload"]


def test_a_concurrency_group_that_is_always_the_same() -> None:
    group = "concurrency:\n  group: publish-${{ github.event.push.ref }}\n  cancel-in-progress: true"
    ((line, message),) = payloads("{push: {tags: ['*']}}", group)
    assert line == 3
    assert message == (
        "push brings no `push`, so `github.event.push.ref` is always empty; what push brings is in `github.event` "
        "itself: `github.event.ref`; all runs are in one group then, in which one waits for another or cancels it"
    )
    ((_, message),) = payloads("push", "concurrency: a-${{ github.ref }}-${{ github.event.number }}")
    assert "one group" not in message


@pytest.mark.parametrize(
    ("on", "asked", "is_told"),
    [
        ("push", "github.event.pull_request.number", True),
        ("[push, pull_request]", "github.event.pull_request.number", False),
        ("push", "github.event.pull_request.number || github.ref", False),
        ("push", "github.event.HEAD_COMMIT.id", False),
        ("push", "format('{0}', github['event'].release.id)", True),
        ("push", "toJSON(github.event)", False),
        ("push", "github.event[github.ref]", False),
        ("workflow_call", "github.event.whatever", False),
        ("[push, projects]", "github.event.project", False),
        ("schedule", "github.event.ref", True),
        ("workflow_dispatch", "github.event.inputs.x", False),
        ("repository_dispatch", "github.event.client_payload.x", False),
    ],
)
def test_fields_that_no_event_of_the_file_has(on: str, asked: str, is_told: bool) -> None:
    assert bool(payloads(on, f'env: {{X: "${{{{ {asked} }}}}"}}')) is is_told


def test_a_condition_on_a_field_that_is_always_empty() -> None:
    text = "on: push\njobs:\n  a:\n    if: github.event.release.draft == false\n    runs-on: x\n    steps: [{run: x}]\n"
    assert [(each.line, each.level) for each in said(text) if each.code == "payload"] == [(4, "warning")]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("matrix.os", "`matrix` has no `os`: this job has no matrix"),
        ("github.ref.name", "`github.ref` is a string, and has no `name`"),
        ("needs.b.outputs.x", "`needs` has no `b`: this job needs no other"),
    ],
)
def test_what_an_expression_asks_of_the_wrong_thing_is_said_plainly(asked: str, message: str) -> None:
    text = f"on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{{run: 'echo ${{{{ {asked} }}}}'}}]\n"
    assert message in [each.message for each in said(text)]
