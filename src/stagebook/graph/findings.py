"""What the shape of a pipeline says against itself: order without a reason, coupling without order, a missing guard.
Pure."""

from __future__ import annotations

from stagebook.model.value import NamedTuple


class Reason(NamedTuple):
    """Why an edge stands. `kind`: `artifact`, `value` (an output's value, or a condition on the stage), `service`,
    `lock`, `pool`, `stated` (`ordering:`), `gate`, `guard` (it leads from a test to what deploys), `always`
    (clean-up). `text` says which: a path, a name, the reason in the file."""

    kind: str
    text: str


class Edge(NamedTuple):
    """`line` is where the need stands. No reasons: needless as far as the file says."""

    need: str
    stage: str
    line: int
    reasons: tuple[Reason, ...]


class Finding(NamedTuple):
    """`code`: `needless-order`, `possible-coupling` or `missing-guard`. `level`: `error`, `warning` or `note`.
    `stages`: those it is about."""

    code: str
    level: str
    line: int
    message: str
    stages: tuple[str, ...]
