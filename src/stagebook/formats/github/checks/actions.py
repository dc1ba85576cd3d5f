"""What is wrong with how steps use the repository's own actions: inputs that these do not have, or ask for. Other
people's actions are not known here."""

from __future__ import annotations

from stagebook.formats.github.checks.names import steps_of
from stagebook.formats.github.local import Files
from stagebook.formats.github.shape import TRUE, Walk, nearest
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node

_OF_DOCKER = ("args", "entrypoint")  #: what `with` may hold for such an action beside its inputs


def check(walk: Walk, root: Node, files: Files) -> None:
    jobs = root.get("jobs")
    for _, _, body in jobs.items() if jobs is not None else ():
        for step in steps_of(body):
            entry = step.entry("uses")
            if entry is not None and entry[1].kind == SCALAR and entry[1].text:
                if files.leads_out(entry[1].text):
                    said = f"`{shorten(entry[1].text)}` leads out of the repository: an action must lie in it"
                    walk.problem(entry[1], "uses", said)
                    continue
                found = files.action(entry[1].text)
                if found is not None:
                    _inputs(walk, entry[1], step.get("with"), found[1])
                    _steps(walk, entry[1], found[1])


def _inputs(walk: Walk, uses: Node, given: Node | None, action: Node) -> None:
    inputs = action.get("inputs")
    declared = {name.lower(): (name, body) for name, _, body in (inputs.items() if inputs is not None else ())}
    runs = action.get("runs")
    using = runs.get("using") if runs is not None else None
    extra = _OF_DOCKER if using is not None and using.text == "docker" else ()
    names = [name for name, _ in declared.values()]
    for name, key, _ in given.items() if given is not None else ():
        known = declared.get(name.lower())
        if known is None and name not in extra:
            said = f"{shorten(uses.text or '')} has no input `{shorten(name)}`{nearest(name, names)}"
            walk.problem(key, "unknown-input", said, "warning")
        elif known is not None and known[1].get("deprecationMessage") is not None:
            walk.problem(key, "deprecated-input", f"input `{shorten(name)}` is deprecated", "note")
    there = {name.lower() for name, _, _ in (given.items() if given is not None else ())}
    for folded, (name, body) in declared.items():
        required = body.get("required")
        if required is not None and required.value in TRUE and body.get("default") is None and folded not in there:
            said = f"{shorten(uses.text or '')} asks for the input `{shorten(name)}`, which is not given"
            walk.problem(uses, "missing-input", said, "warning")


def _steps(walk: Walk, uses: Node, action: Node) -> None:
    """In a composite action each script says its shell."""
    runs = action.get("runs")
    steps = runs.get("steps") if runs is not None else None
    for step in steps if steps is not None and steps.kind == LIST else ():
        if step.kind == MAP and step.get("run") is not None and step.get("shell") is None:
            said = f"{shorten(uses.text or '')} cannot be used: line {step.line} of its file has `run` without `shell`"
            walk.problem(uses, "action", said)
            return
