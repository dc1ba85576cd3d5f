"""What is wrong with names: ids of jobs and steps, environment variables, permissions, and anchors that nobody
uses."""

from __future__ import annotations

import re

from stagebook.formats.github.shape import Walk, kind_of, nearest
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import MAP, SCALAR, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
_RULE = "ids begin with a letter or _, hold letters, digits, - and _, and are shorter than 101 characters"
_ENV = re.compile(r"[^=&\s]+")

SCOPES = {
    **dict.fromkeys(
        (
            "actions", "artifact-metadata", "attestations", "checks", "code-quality", "contents", "deployments",
            "discussions", "drives", "issues", "packages", "pages", "pull-requests", "repository-projects",
            "security-events", "statuses", "vulnerability-alerts",
        ),
        ("read", "write", "none"),
    ),
    "copilot-requests": ("write", "none"),
    "id-token": ("write", "none"),
    "models": ("read", "none"),
}  # fmt: skip


def check(walk: Walk, root: Node) -> None:
    jobs = root.get("jobs")
    _permissions(walk, root)
    _env(walk, root)
    for name, key, body in jobs.items() if jobs is not None else ():
        if not _ID.fullmatch(name):
            walk.problem(key, "id", f"`{shorten(name)}` is no id of a job: {_RULE}")
        elif name.startswith("__"):
            walk.problem(key, "id", f"`{shorten(name)}` is no id of a job: names with two _ before them are GitHub's")
        _permissions(walk, body)
        _env(walk, body)
        container, services = body.get("container"), body.get("services")
        for each in (container, *(value for _, _, value in (services.items() if services is not None else ()))):
            if each is not None:
                _env(walk, each)
        _steps(walk, body)
    _anchors(walk, root)


def steps_of(body: Node) -> Iterator[Node]:
    """The steps of a job in order, those inside `parallel` included."""
    for step in body.get("steps") or ():
        if step.kind != MAP:
            continue
        yield step
        for inner in step.get("parallel") or ():
            if inner.kind == MAP:
                yield inner


def _steps(walk: Walk, body: Node) -> None:
    seen: dict[str, Node] = {}
    for step in steps_of(body):
        _env(walk, step)
        _targets(walk, step, seen)
        node = step.get("id")
        if node is None or node.kind != SCALAR or not node.text or "${{" in node.text:
            continue
        text = node.text
        if not _ID.fullmatch(text):
            walk.problem(node, "id", f"`{shorten(text)}` is no id of a step: {_RULE}")
        elif text.startswith("__"):
            walk.problem(node, "id", f"`{shorten(text)}` is no id of a step: names with two _ before them are GitHub's")
        first = seen.setdefault(text.lower(), node)
        if first is not node:
            said = f"step id `{shorten(text)}` is taken on line {first.line}; capitals make no difference"
            walk.problem(node, "duplicate-id", said)


def _targets(walk: Walk, step: Node, seen: dict[str, Node]) -> None:
    """Steps that `wait` and `cancel` name stand before them."""
    kind = kind_of(step)
    node = step.get(kind) if kind in ("wait", "cancel") else None
    for each in [] if node is None else [node] if node.kind == SCALAR else list(node):
        if each.text and each.text.lower() not in seen:
            said = f"`{kind}` names `{shorten(each.text)}`, which is no step before it{nearest(each.text, seen)}"
            walk.problem(each, "unknown-step", said)
    everything = step.get("wait-all")
    if everything is not None and not everything.is_null and everything.value not in ("true", "True", "TRUE"):
        walk.problem(everything, "value", "`wait-all` is true, or nothing stands there")


def _env(walk: Walk, node: Node) -> None:
    env = node.get("env")
    for name, key, _ in env.items() if env is not None else ():
        if "${{" not in name and name and not _ENV.fullmatch(name):
            walk.problem(
                key, "env", f"'{shorten(name)}' is no name of a variable: it holds `=`, `&` or a space", "warning"
            )


def _permissions(walk: Walk, node: Node) -> None:
    found = node.get("permissions")
    if found is None:
        return
    if found.kind == SCALAR and found.text and found.text not in ("read-all", "write-all"):
        said = f"`permissions` is read-all, write-all or a mapping, not '{shorten(found.text)}'"
        walk.problem(found, "permissions", said)
    for name, key, value in found.items():
        levels = SCOPES.get(name)
        if levels is None:
            said = f"GitHub has no permission `{shorten(name)}`{nearest(name, SCOPES)}"
            walk.problem(key, "permissions", said, "warning")
        elif value.kind == SCALAR and value.text and value.text not in levels:
            said = f"permission `{name}` is one of {', '.join(levels)}, not '{shorten(value.text)}'"
            walk.problem(value, "permissions", said)


def _anchors(walk: Walk, root: Node) -> None:
    """Anchors without an alias, each once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.anchor is not None and not node.aliased:
            walk.problem(node, "anchor", f"nobody uses the anchor `&{shorten(node.anchor)}`", "note")
        if node.kind == MAP:
            waiting += [each for pair in node.entries() for each in pair]
        elif node.kind != SCALAR:
            waiting += node.value
