"""What is wrong with `on`: events and activity types that GitHub does not have, filters that do not go with them,
inputs that contradict themselves. Patterns are in `globs`, times in `schedule`."""

from __future__ import annotations

from stagebook.formats.github.shape import FALSE, TRUE, Walk, nearest, number
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node

_PULL = (
    "assigned auto_merge_disabled auto_merge_enabled closed converted_to_draft demilestoned dequeued edited enqueued "
    "labeled locked milestoned opened ready_for_review reopened review_request_removed review_requested stacked "
    "synchronize unassigned unlabeled unlocked"
)
#: Events of the vendor's reference to their activity types.
EVENTS: dict[str, tuple[str, ...]] = {
    name: tuple(types.split())
    for name, types in {
        "branch_protection_rule": "created deleted edited",
        "check_run": "completed created requested_action rerequested",
        "check_suite": "completed",
        "create": "",
        "delete": "",
        "deployment": "",
        "deployment_status": "",
        "discussion": "answered category_changed created deleted edited labeled locked pinned transferred unanswered "
        "unlabeled unlocked unpinned",
        "discussion_comment": "created deleted edited",
        "fork": "",
        "gollum": "",
        "image_version": "created deleted ready",
        "issue_comment": "created deleted edited",
        "issues": "assigned closed deleted demilestoned edited field_added field_removed labeled locked milestoned "
        "opened pinned reopened transferred typed unassigned unlabeled unlocked unpinned untyped",
        "label": "created deleted edited",
        "merge_group": "checks_requested",
        "milestone": "closed created deleted edited opened",
        "page_build": "",
        "project": "closed created deleted edited reopened",
        "project_card": "converted created deleted edited moved",
        "project_column": "created deleted moved updated",
        "public": "",
        "pull_request": _PULL,
        "pull_request_comment": "created deleted edited",
        "pull_request_review": "dismissed edited submitted",
        "pull_request_review_comment": "created deleted edited",
        "pull_request_target": _PULL,
        "push": "",
        "registry_package": "published updated",
        "release": "created deleted edited prereleased published released unpublished",
        "repository_dispatch": "",
        "schedule": "",
        "status": "",
        "watch": "started",
        "workflow_call": "",
        "workflow_dispatch": "",
        "workflow_run": "completed in_progress requested",
    }.items()
}
_WITH_BRANCHES = ("merge_group", "pull_request", "pull_request_target", "push", "workflow_run")
_WITH_PATHS = ("pull_request", "pull_request_target", "push")
_FILTERS = {
    "branches": _WITH_BRANCHES,
    "branches-ignore": _WITH_BRANCHES,
    "tags": ("push",),
    "tags-ignore": ("push",),
    "paths": _WITH_PATHS,
    "paths-ignore": _WITH_PATHS,
    "workflows": ("workflow_run",),
}
_INPUT_TYPES = ("string", "number", "boolean", "choice", "environment")
_INPUTS_MAX = 25


def check(walk: Walk, root: Node) -> None:
    on = root.get("on")
    if on is None:
        return
    for node in [on] if on.kind == SCALAR else list(on):
        if node.kind == SCALAR and node.text:
            _event(walk, node, None)
    for _, key, value in on.items():
        _event(walk, key, value)


def _event(walk: Walk, key: Node, value: Node | None) -> None:
    name = str(key.value)
    types = EVENTS.get(name)
    if types is None:
        said = f"GitHub has no event `{shorten(name)}`{nearest(name, EVENTS)}"
        walk.problem(key, "unknown-event", said, "warning")
        return
    if name == "schedule" and (value is None or value.is_null):
        walk.problem(key, "event", "`schedule` needs a list of `cron` entries")
    if value is None or value.kind != MAP:
        return
    if name == "workflow_dispatch":
        _dispatch(walk, key, value)
    elif name == "workflow_call":
        _call(walk, value)
    elif name != "repository_dispatch":
        _types(walk, name, types, value)
        _filters(walk, name, value)


def _types(walk: Walk, name: str, types: tuple[str, ...], value: Node) -> None:
    entry = value.entry("types")
    if entry is None:
        return
    if not types:
        walk.problem(entry[0], "event", f"`{name}` has no activity types", "warning")
    for node in [entry[1]] if entry[1].kind == SCALAR else list(entry[1]):
        if types and node.text and node.text not in types:
            near = nearest(node.text, types)
            said = f"`{name}` has no activity type `{shorten(node.text)}`{near}"
            walk.problem(node, "event", said, "warning")


def _filters(walk: Walk, name: str, value: Node) -> None:
    for key, key_node, _ in value.items():
        allowed = _FILTERS.get(key)
        if allowed is not None and name not in allowed:
            said = f"`{key}` means nothing for `{name}`; it is for {', '.join(allowed)}"
            walk.problem(key_node, "filter", said, "warning")
        if key.endswith("-ignore") and value.entry(key.removesuffix("-ignore")) is not None and name in (allowed or ()):
            other = value.entry(key.removesuffix("-ignore"))
            assert other is not None
            later = max(key_node, other[0], key=lambda each: each.line)
            first = min(key_node, other[0], key=lambda each: each.line)
            said = f"`{first.value}` and `{later.value}` exclude each other; use `!` in one list"
            walk.problem(first, "filter", said)
            walk.problem(later, "filter", said)
    if name == "workflow_run" and value.entry("workflows") is None:
        walk.problem(value, "event", "`workflow_run` needs `workflows`", "warning")


def _dispatch(walk: Walk, key: Node, value: Node) -> None:
    inputs = value.get("inputs")
    count = len(list(inputs.items())) if inputs is not None else 0
    if count > _INPUTS_MAX:
        walk.problem(key, "limit", f"{count} inputs; GitHub takes {_INPUTS_MAX}")
    for name, name_node, body in inputs.items() if inputs is not None else ():
        type_node, options, default = body.get("type"), body.entry("options"), body.get("default")
        type_ = type_node.text if type_node is not None and type_node.kind == SCALAR else None
        if type_node is not None and type_ and type_ not in _INPUT_TYPES:
            near = nearest(type_, _INPUT_TYPES)
            walk.problem(type_node, "input", f"`{shorten(type_)}` is no type of an input{near}")
            continue
        if type_ == "choice":
            _choice(walk, name, name_node, options, default)
        elif options is not None:
            walk.problem(
                name_node, "input", f"`options` means nothing: input `{shorten(name)}` is no choice", "warning"
            )
        if default is not None and default.kind == SCALAR and default.text is not None:
            _default(walk, name, type_ or "string", default)


def _choice(walk: Walk, name: str, node: Node, options: tuple[Node, Node] | None, default: Node | None) -> None:
    if options is None or options[1].kind != LIST or not options[1].value:
        walk.problem(node, "input", f"input `{shorten(name)}` is a choice without `options`")
        return
    seen: set[str] = set()
    for each in options[1]:
        if each.kind == SCALAR and each.text is not None:
            if each.text in seen:
                walk.problem(each, "input", f"option '{shorten(each.text)}' is given twice", "warning")
            seen.add(each.text)
    if default is not None and default.text is not None and default.text not in seen:
        walk.problem(default, "input", f"the default '{shorten(default.text)}' is not among the options")


def _default(walk: Walk, name: str, type_: str, node: Node) -> None:
    text = str(node.value)
    if "${{" in text:
        return
    if type_ == "boolean" and text not in (*TRUE, *FALSE):
        walk.problem(node, "input", f"input `{shorten(name)}` is a boolean, its default '{shorten(text)}' is none")
    if type_ == "number" and number(text) is None:
        walk.problem(node, "input", f"input `{shorten(name)}` is a number, its default '{shorten(text)}' is none")


def _call(walk: Walk, value: Node) -> None:
    inputs = value.get("inputs")
    for name, _, body in inputs.items() if inputs is not None else ():
        default, required, type_ = body.get("default"), body.get("required"), body.get("type")
        if default is None or default.kind != SCALAR or (default.is_null and default.plain and default.value == ""):
            continue
        if required is not None and required.value in TRUE:
            said = f"input `{shorten(name)}` is required, so that its default is never used"
            walk.problem(default, "input", said, "warning")
        if type_ is not None and type_.text:
            _default(walk, name, type_.text, default)
