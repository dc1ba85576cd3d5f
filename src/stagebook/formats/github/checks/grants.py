"""Whether a called workflow asks for more rights than its caller has: GitHub refuses that. What the token has where
nobody says so is a setting of the repository, and not judged."""

from __future__ import annotations

from stagebook.formats.github.checks.names import SCOPES
from stagebook.formats.github.shape import Walk
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import MAP, SCALAR, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

    #: Scopes to `none`, `read` or `write`.
    Rights = Mapping[str, str]

_ORDER = {"none": 0, "read": 1, "write": 2}


def rights_of(node: Node) -> Rights | None:
    """What `permissions` of a workflow or a job gives; None where it says nothing."""
    found = node.get("permissions")
    if found is None:
        return None
    if found.kind == MAP:
        given = {name: value.text or "none" for name, _, value in found.items() if value.kind == SCALAR}
        return {scope: given.get(scope, "none") for scope in (*SCOPES, *given)}
    word = {"read-all": "read", "write-all": "write"}.get(found.text or "")
    return None if word is None else {scope: word if word in levels else "none" for scope, levels in SCOPES.items()}


def check(walk: Walk, at: Node, uses: str, root: Node, cap: Rights | None) -> None:
    """Says at the call what the called workflow, or a job of it, asks for beyond `cap`."""
    if cap is None:
        return
    jobs = root.get("jobs")
    asking = [("", root), *((name, body) for name, _, body in (jobs.items() if jobs is not None else ()))]
    for name, node in asking:
        asked = rights_of(node)
        beyond = [
            f"{scope}: {level}"
            for scope, level in (asked or {}).items()
            if _ORDER.get(level, 0) > _ORDER.get(cap.get(scope, "none"), 0)
        ]
        if beyond:
            who = f"job `{shorten(name)}` of {shorten(uses)}" if name else shorten(uses)
            walk.problem(at, "permissions", f"{who} asks for more than this job has: {', '.join(beyond[:5])}")
