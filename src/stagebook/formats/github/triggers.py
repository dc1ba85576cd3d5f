"""What starts a workflow: `on` as a table, which event a file is mostly for, and whether an event on a branch starts
it. No jobs."""

from __future__ import annotations

from functools import lru_cache

from stagebook.formats.github.values import value_of
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping

#: Events that a file is taken to be for where nobody says which one is meant, the likeliest first.
USUAL = ("push", "pull_request", "pull_request_target", "merge_group", "workflow_dispatch", "schedule", "workflow_call")
_HEADS = ("refs/heads/", "refs/tags/")


def triggers_of(node: Node | None) -> dict[str, dict[str, Any]]:
    """Events to their settings as the file has them, in its order. A list of settings, as of `schedule`, is under
    `items`."""
    if node is None:
        return {}
    if node.kind == SCALAR:
        return {str(node.value): {}} if node.text else {}
    if node.kind == LIST:
        return {str(each.value): {} for each in node if each.kind == SCALAR and each.text}
    found: dict[str, dict[str, Any]] = {}
    for name, _, value in node.items():
        if value.kind == MAP:
            found[name] = value_of(value)
        else:
            found[name] = {"items": value_of(value)} if value.kind == LIST else {}
    return found


def event_of(asked: str, triggers: Mapping[str, Any], with_inputs: bool = False) -> str:
    """The event that is meant: the one that was asked for, else what the file is mostly for. `with_inputs`: somebody
    gives inputs, which only a start by hand has."""
    if asked:
        return asked
    if with_inputs and "workflow_dispatch" in triggers:
        return "workflow_dispatch"
    for each in USUAL:
        if each in triggers:
            return each
    return next(iter(triggers), "push")


def starts(triggers: Mapping[str, Mapping[str, Any]], event: str, ref: str | None = None) -> bool | None:
    """Whether an event on a branch or tag (`refs/tags/…`) starts a workflow. None where that depends on more than its
    name and the branch: on changed files, or on a branch that is not known."""
    settings = triggers.get(event)
    if settings is None:
        return False
    kind = "tags" if ref is not None and ref.startswith("refs/tags/") else "branches"
    has_branches = "branches" in settings or "branches-ignore" in settings
    has_tags = "tags" in settings or "tags-ignore" in settings
    if event == "push" and (has_branches or has_tags):
        if ref is None:
            return None
        if not (has_tags if kind == "tags" else has_branches):
            return False
    if kind in settings or f"{kind}-ignore" in settings:
        if ref is None:
            return None
        name = ref
        for head in _HEADS:
            name = name.removeprefix(head)
        if kind in settings and not matches(_texts(settings[kind]), name):
            return False
        if f"{kind}-ignore" in settings and matches(_texts(settings[f"{kind}-ignore"]), name):
            return False
    return None if "paths" in settings or "paths-ignore" in settings else True


def _texts(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def matches(patterns: Iterable[str], name: str) -> bool:
    """Whether the last pattern that fits a name takes it; one with `!` gives it back."""
    taken = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        found = _pattern(pattern[1:] if negated else pattern)
        if found is not None and found.fullmatch(name):
            taken = not negated
    return taken


@lru_cache(256)
def _pattern(text: str) -> Any:
    """GitHub's filter pattern. `*` stays within a folder, `**` does not, `?` and `+` repeat what is before them. By
    RE2, which is linear whatever the pattern; None of what is none."""
    import re2  # type: ignore[import-untyped,unused-ignore]

    if len(text) > 1_000:
        return None
    made, at = "", 0
    while at < len(text):
        char = text[at]
        if text.startswith("**/", at) and (at == 0 or text[at - 1] == "/"):
            made, at = made + "(?:.*/)?", at + 3
            continue
        if text.startswith("**", at):
            made, at = made + ".*", at + 2
            continue
        if char == "*":
            made += "[^/]*"
        elif char in "?+" and made:
            made += char
        elif char == "[" and "]" in text[at:]:
            end = text.index("]", at)
            made += "[" + re2.escape(text[at + 1 : end]).replace(r"\-", "-") + "]"
            at = end
        elif char == "\\" and at + 1 < len(text):
            at += 1
            made += re2.escape(text[at])
        else:
            made += re2.escape(char)
        at += 1
    try:
        return re2.compile(made)
    except re2.error:
        return None
