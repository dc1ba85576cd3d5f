"""Jobs that may hang for six hours."""

from __future__ import annotations

from stagebook.graph.coupling import listed
from stagebook.graph.findings import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from stagebook.formats.source.nodes import Node

DEFAULT_MINUTES = 360
_NAMED_MAX = 3


def endless(jobs: Node) -> Iterator[Finding]:
    """One for the file: jobs without `timeout-minutes` of their own or of all their steps."""
    found = [(name, key.line) for name, key, job in jobs.items() if _is_endless(job)]
    if not found:
        return
    names = [name for name, _ in found]
    said = listed(names[:_NAMED_MAX], max(0, len(names) - _NAMED_MAX))
    who = "has" if len(names) == 1 else "have"
    yield Finding(
        "no-timeout",
        "note",
        found[0][1],
        f"{said} {who} no timeout",
        tuple(names),
        f"a job that hangs is stopped after {DEFAULT_MINUTES // 60} hours only, and holds its machine until then",
        "set `timeout-minutes` to two or three times what it usually takes",
    )


def _is_endless(job: Node) -> bool:
    steps = job.get("steps")
    if job.get("timeout-minutes") is not None or steps is None:
        return False
    return any(step.get("timeout-minutes") is None for step in steps)
