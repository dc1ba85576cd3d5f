"""What is recommended and why, as values. How it is found is `advise`; how it looks is the report's."""

from __future__ import annotations

from stagebook.model.value import NamedTuple

KINDS = ("parallel", "sequential", "pool", "isolate", "pipeline", "split", "merge")


class Evidence(NamedTuple):
    """`source`: `declared`, `trace`, `history` or `none`; `n`: how many runs stand behind it."""

    source: str
    n: int
    text: str


class Change(NamedTuple):
    """`kind` is one of KINDS. `edges` are the needs that it removes (from, to), `instead` those that it adds, so
    that order with what came before is kept; `locks` those that it gives to stages, (stage, lock). `line` is where the
    file would be changed. `question`: nothing but a person's word allows it; `check`: the command to run first.
    `confidence` is how sure it is that the change saves anything, as `confidence` has it; 1 for what the file states, 0
    for a question, 0.5 for what may only be so."""

    kind: str
    stages: tuple[str, ...]
    change: str
    why: str
    saves_s: float | None
    evidence: tuple[Evidence, ...]
    confidence: float
    edges: tuple[tuple[str, str], ...] = ()
    instead: tuple[tuple[str, str], ...] = ()
    line: int | None = None
    question: bool = False
    check: str | None = None
    locks: tuple[tuple[str, str], ...] = ()


class Recommendation(NamedTuple):
    """`jobs` and `mode` are what to run with; `reasons` sentences with figures. `kept` are changes that are not
    proposed, each with its reason: orders that stay."""

    jobs: int
    mode: str
    reasons: tuple[str, ...]
    changes: tuple[Change, ...]
    kept: tuple[Change, ...] = ()


def confidence(share: float, runs: int) -> float:
    """How sure it is that a change saves time, that does so in `share` of simulated runs which stand on `runs` real
    ones: by Laplace's rule of succession, as if each real run had been one trial. Without any it is 0.5."""
    return round((share * runs + 1) / (runs + 2), 3)
