"""The way in: a workflow file's bytes to a `Pipeline`. What its keys mean is in the modules beside this one."""

from __future__ import annotations

import os

from stagebook.formats.github import grading, known
from stagebook.formats.github.jobs import Found, Jobs, Level
from stagebook.formats.github.local import Files, root_of
from stagebook.formats.github.shape import Walk, nearest, number, whole
from stagebook.formats.github.triggers import event_of, triggers_of
from stagebook.formats.github.values import clean
from stagebook.formats.native import cache
from stagebook.formats.native.nodes import shorten
from stagebook.formats.request import Request
from stagebook.formats.source.nodes import MAP, Node, Source, read
from stagebook.model.pipeline import Pipeline, Secret, Stage
from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

_LEVELS = {"error": 0, "warning": 1, "note": 2}


def parse(data: bytes, file: str, request: Request) -> tuple[Pipeline | None, tuple[Problem, ...]]:
    """The pipeline of a workflow, or None; and all problems with it, errors first."""
    try:
        source = read(data, file)
    except InputError as refused:
        return None, refused.problems
    root = _workflow(source)
    if root is None:
        return None, tuple(source.problems)
    from stagebook.formats.github import checks

    walk = whole(source, root)
    place = root_of(file)
    triggers = triggers_of(root.get("on"))
    event = event_of(request.event, triggers, bool(request.inputs))
    name = clean((root.get("name") or source.documents[0]).text or "") or os.path.basename(file).rpartition(".")[0]
    contexts = known.contexts_of(request, event, triggers, place, name)
    _started(walk, root, triggers, event, request)
    _inputs(walk, root, triggers, event, request)
    found = Found(Files(place, request.includes, file))
    units = Jobs(source, root, Level(known.static(contexts)), found, walk).read()
    checks.all_of(walk, root, triggers, found.files)
    problems = _sorted([*source.problems, *found.problems])
    if any(each.level == "error" for each in problems):
        return None, problems
    pipeline = Pipeline(
        name, file, "github", _digest(data, found.files.hashes), _in_order(root, units, found.stages),
        secrets=tuple(Secret(each, line=line) for each, line in found.secrets.items()),
        matrices=found.matrices,
        groups=found.groups,
        machine_locks=tuple(found.locks),
        problems=problems,
        root=place,
        files=found.files.hashes,
        context=contexts,
        missing=tuple(found.missing),
        grades=grading.grades_of(walk.keys, root, found.files, found.open_jobs),
        more={"on": triggers},
    )  # fmt: skip
    return pipeline, problems


def _workflow(source: Source) -> Node | None:
    """The root of a workflow; None, and why, of what is none."""
    if not source.documents:
        said = "the file is empty; a workflow has `on` and `jobs`"
        source.problems.append(Problem(source.file, 1, 1, "empty", "error", said))
        return None
    root = source.documents[0]
    if len(source.documents) > 1:
        source.problem(source.documents[1], "documents", "a workflow is one YAML document; here another one begins")
        return None
    if root.kind != MAP:
        source.problem(root, "type", "a workflow is a mapping with `on` and `jobs`")
        return None
    if root.get("jobs") is None and root.get("runs") is not None:
        said = "this is an action (it has `runs`), not a workflow; jobs use it by `uses`"
        source.problem(root.entry("runs")[0], "action", said)  # type: ignore[index]
        return None
    if root.get("jobs") is None and root.get("on") is None and not _is_near(root):
        source.problem(root, "template", "this is no workflow: it has neither `on` nor `jobs`")
        return None
    return root


def _is_near(root: Node) -> bool:
    return any(name in ("name", "run-name", "permissions", "concurrency", "env") for name, _, _ in root.items())


def _started(walk: Walk, root: Node, triggers: Mapping[str, Any], event: str, request: Request) -> None:
    if not request.event or event in triggers:
        return
    from stagebook.formats.github.checks.events import EVENTS

    if event not in EVENTS:
        said = f"--event: GitHub has no event `{shorten(event)}`{nearest(event, EVENTS)}"
        if request.payload:
            said += "; a file of one is named like it, or says it under `event_name`"
        walk.source.problem(None, "event", said)
    elif triggers:
        on = root.entry("on")
        said = (
            f"`{clean(event)}` does not start this workflow; it starts on {', '.join(map(clean, list(triggers)[:8]))}"
        )
        walk.problem(on[0] if on is not None else root, "event", said, "note")


def _inputs(walk: Walk, root: Node, triggers: Mapping[str, Any], event: str, request: Request) -> None:
    """Inputs that were given and are none, and those that GitHub would ask for."""
    settings = triggers.get(event) or {}
    declared = settings.get("inputs") if event in ("workflow_dispatch", "workflow_call") else None
    declared = declared if isinstance(declared, dict) else {}
    node = (root.entry("on") or (root,))[0]
    for name, text in request.inputs.items():
        spec = declared.get(name)
        if name not in declared:
            near = nearest(name, declared) if declared else "; it has none"
            level = "error" if declared else "warning"  # it may be meant for another workflow beside this one
            walk.problem(node, "input", f"this workflow has no input `{clean(name)}`{near}", level)
        elif isinstance(spec, dict) and not _is_fit(text, spec):
            kind = str(spec.get("type"))
            said = " or ".join(map(str, spec["options"][:20])) if kind == "choice" else f"a {kind}"
            walk.problem(node, "input", f"input `{clean(name)}` must be {clean(said)}, not '{clean(text)}'")
    for name, spec in declared.items() if request.event else ():
        is_asked = isinstance(spec, dict) and spec.get("required") is True and spec.get("default") is None
        if is_asked and name not in request.inputs:
            said = f"input `{clean(name)}` is required and not given; --input {clean(name)}=VALUE gives it"
            walk.problem(node, "missing-input", said, "warning")


def _is_fit(text: str, spec: Mapping[str, Any]) -> bool:
    kind = spec.get("type")
    if kind == "choice" and isinstance(spec.get("options"), list):
        return text in map(str, spec["options"])
    if kind == "boolean":
        return text.lower() in ("true", "false")
    return kind != "number" or number(text) is not None


def _in_order(root: Node, units: Mapping[str, Any], stages: list[Stage]) -> tuple[Stage, ...]:
    """Stages in the order of the file; those of a called workflow where it is called."""
    return tuple(stage for unit in units.values() for stage in unit.stages)


def _sorted(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda each: (_LEVELS[each.level], each.file, each.line, each.col)))


def _digest(data: bytes, files: Mapping[str, str]) -> str:
    """Of the file, and of those that it was made of."""
    own = cache.digest(data)
    if not files:
        return own
    return cache.digest("\n".join([own, *(f"{files[path]}" for path in sorted(files))]).encode())
