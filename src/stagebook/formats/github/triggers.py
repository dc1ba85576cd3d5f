"""What starts a workflow: its `on`, and whether an event on a branch or tag does. Types of events and changed files are
not asked: whether they fit is known only when it happens.
"""

from __future__ import annotations

import re

from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node, Source
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

_CLASS_MAX = 1000


class Trigger(NamedTuple):
    """One event of `on`. `refs`: patterns by key (`branches`, `tags-ignore`, …). `workflows`: of `workflow_run`."""

    event: str
    line: int
    refs: Mapping[str, tuple[str, ...]] = {}
    workflows: tuple[str, ...] = ()


def triggers(source: Source) -> dict[str, Trigger]:
    """By event. Empty where the file has no `on`."""
    root = source.documents[0] if source.documents else None
    found = root.entry("on") or root.entry("true") if root is not None else None
    if found is None:
        return {}
    key, on = found
    if on.kind == SCALAR:
        return {text: Trigger(text, on.line) for text in on.texts}
    if on.kind == LIST:
        return {text: Trigger(text, each.line) for each in on for text in each.texts}
    return {name: _trigger(name, at, body) for name, at, body in on.items()}


def _trigger(name: str, key: Node, body: Node) -> Trigger:
    refs = {}
    for of in ("branches", "branches-ignore", "tags", "tags-ignore"):
        if (node := body.get(of) if body.kind == MAP else None) is not None:
            refs[of] = tuple(node.texts)
    workflows = body.get("workflows") if body.kind == MAP else None
    return Trigger(name, key.line, refs, tuple(workflows.texts) if workflows is not None else ())


def starts(trigger: Trigger, ref: str | None) -> bool:
    """Whether its event on a branch (or `refs/tags/NAME`; None: any) starts the workflow. A pull request's `ref` is the
    branch that it is against."""
    if ref is None or trigger.event not in ("push", "pull_request", "pull_request_target", "workflow_run"):
        return True
    is_tag = ref.startswith("refs/tags/")
    name = ref.removeprefix("refs/tags/").removeprefix("refs/heads/")
    kind, other = ("tags", "branches") if is_tag else ("branches", "tags")
    refs = trigger.refs
    if kind in refs:
        return matches(refs[kind], name)
    if f"{kind}-ignore" in refs:
        return not matches(refs[f"{kind}-ignore"], name)
    return other not in refs and f"{other}-ignore" not in refs


def is_only_of_tags(found: Mapping[str, Trigger]) -> bool:
    """Whether it is started for versions only, each of which comes once."""
    return bool(found) and all(
        name in ("release", "create") or (name == "push" and "tags" in each.refs and "branches" not in each.refs)
        for name, each in found.items() if name not in ("workflow_dispatch", "workflow_call")
    )  # fmt: skip


def matches(patterns: tuple[str, ...], name: str) -> bool:
    """By the last pattern that fits; one with `!` before it takes away."""
    fits = False
    for pattern in patterns:
        if pattern.startswith("!"):
            fits = fits and not _fits(pattern[1:], name)
        else:
            fits = fits or _fits(pattern, name)
    return fits


def _fits(pattern: str, name: str) -> bool:
    """GitHub's patterns: `*` within a part, `**` over parts, `?` and `+` of the character before, `[a-z]`."""
    if len(pattern) > _CLASS_MAX:
        return False
    found = ""
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        if pattern.startswith("**", at):
            found, at = found + ".*", at + 2
            continue
        if letter == "[" and (end := pattern.find("]", at + 1)) > 0:
            found, at = found + "[" + re.escape(pattern[at + 1 : end]).replace(r"\-", "-") + "]", end + 1
            continue
        if letter == "\\" and at + 1 < len(pattern):
            found, at = found + re.escape(pattern[at + 1]), at + 2
            continue
        found += "[^/]*" if letter == "*" else letter if letter in "?+" and found else re.escape(letter)
        at += 1
    import re2  # type: ignore[import-untyped,unused-ignore]

    try:  # in time linear in the name, whatever the pattern
        return re2.fullmatch(found, name) is not None
    except re2.error:
        return False
