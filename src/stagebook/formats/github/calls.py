"""Jobs that call a workflow: its jobs in place of them where it is here, else one stage that cannot run. What is
given to it is checked against what it declares."""

from __future__ import annotations

import re

from stagebook.formats.github.cells import filled
from stagebook.formats.github.checks import grants
from stagebook.formats.github.expression import UNKNOWN, Open, references, template
from stagebook.formats.github.expression.grammar import ExpressionError
from stagebook.formats.github.jobs import Jobs, Level, Unit
from stagebook.formats.github.known import typed
from stagebook.formats.github.shape import nearest, number
from stagebook.formats.github.triggers import triggers_of
from stagebook.formats.github.values import clean, value_of
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import MAP, SCALAR, Node, Source
from stagebook.model.job import Job
from stagebook.model.pipeline import Stage
from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.formats.github.jobs import _Base
    from stagebook.formats.github.matrix import Cell
    from stagebook.formats.github.spec import Call

NESTED_MAX = 10  #: workflows that call each other, the first included, as GitHub has it
_LOCAL = re.compile(r"(?:\./|\$/)[^@]+\.ya?ml")
_REMOTE = re.compile(r"(?!\.{1,2}/)[^/@\s]+/[^/@\s]+/[^@\s]+\.ya?ml@[^\s]+")


def unit(jobs: Jobs, base: _Base, is_gated: bool) -> Unit:
    """What a job with `uses` becomes."""
    node = base.body.get("uses")
    uses = node.text if node is not None else None
    if node is None or not uses:
        return _alone(jobs, base, "it does not say which workflow it calls", is_gated)
    if not _LOCAL.fullmatch(uses) and not _REMOTE.fullmatch(uses) and "${{" not in uses:
        said = f"`{shorten(uses)}` is no workflow: it must be ./.github/workflows/NAME.yml or OWNER/REPO/PATH.yml@REF"
        jobs.walk.problem(node, "uses", said)
        return _alone(jobs, base, said, is_gated)
    files = jobs.found.files
    try:
        source = files.source(uses)
    except InputError as refused:
        jobs.found.problems += refused.problems
        return _alone(jobs, base, f"{shorten(uses)} cannot be read", is_gated)
    root = source.documents[0] if source is not None and source.documents else None
    if source is None or root is None:
        return _missing(jobs, base, node, uses, is_gated)
    trail = (*jobs.level.trail, jobs.source.file)
    if source.file in trail:
        jobs.walk.problem(node, "recursion", f"`{shorten(uses)}` calls itself, by way of this job")
        return _alone(jobs, base, "it calls itself", is_gated)
    if len(trail) >= NESTED_MAX:
        jobs.walk.problem(node, "limit", f"workflows call each other more than {NESTED_MAX} deep, GitHub's limit")
        return _alone(jobs, base, "too deep", is_gated)
    declared = triggers_of(root.get("on")).get("workflow_call")
    if declared is None:
        said = f"`{shorten(uses)}` cannot be called: it has no `workflow_call` under `on`"
        jobs.walk.problem(node, "uses", said)
        return _alone(jobs, base, said, is_gated)
    _check(jobs, base, uses, declared)
    grants.check(jobs.walk, base.key, uses, root, _rights(jobs, base))
    return _expanded(jobs, base, source, root, declared, trail, is_gated)


def _expanded(
    jobs: Jobs,
    base: _Base,
    source: Source,
    root: Node,
    declared: Mapping[str, Any],
    trail: tuple[str, ...],
    is_gated: bool,
) -> Unit:
    cells: tuple[Cell | None, ...] = base.strategy.cells if base.strategy.cells is not None else (None,)
    stages: list[Stage] = []
    inner: dict[str, Any] = {}
    for place, cell in enumerate(cells):
        level = _level(jobs, base, cell, place, len(cells), declared, trail)
        called = Jobs(source, root, level, jobs.found)
        units = called.read()
        _take(jobs, source)
        for name, each in units.items():
            stages += each.stages
            inner.setdefault(name, {"stages": []})["stages"] += each.need["stages"]
        if jobs.is_too_much(base.key):
            break
    outputs = declared.get("outputs")
    texts = {
        name: str(each.get("value", "")) for name, each in (outputs.items() if isinstance(outputs, dict) else ())
        if isinstance(each, dict)
    }  # fmt: skip
    jobs.found.groups[jobs.level.prefix + base.name] = tuple(each.id for each in stages)
    gated = is_gated or any(each.when is not None for each in stages)
    return Unit(tuple(stages), {"stages": [each.id for each in stages], "outputs": texts, "jobs": inner}, gated)


def _take(jobs: Jobs, source: Source) -> None:
    """What is wrong with a called file, once, and only what refuses it: its own run is for its own warnings."""
    known = {(each.file, each.line, each.col, each.message) for each in jobs.found.problems}
    for each in source.problems:
        if each.level == "error" and (each.file, each.line, each.col, each.message) not in known:
            jobs.found.problems.append(each)
    source.problems.clear()


def _level(
    jobs: Jobs,
    base: _Base,
    cell: Cell | None,
    place: int,
    total: int,
    declared: Mapping[str, Any],
    trail: tuple[str, ...],
) -> Level:
    outer = jobs.level
    contexts = jobs.contexts(base, cell, place, total)
    given = value_of(base.body.get("with"))
    given = given if isinstance(given, dict) else {}
    specs = _declared(declared, "inputs")
    inputs = Open()
    for name, spec in specs.items():
        value = filled(given.get(name, spec.get("default")), contexts)
        if value is not UNKNOWN:
            inputs[name] = typed(value, str(spec.get("type", "string")))
    call: Call = {
        "with": given,
        "inputs": {
            name: {"default": spec.get("default"), "type": str(spec.get("type", "string"))}
            for name, spec in specs.items()
        },
        "needs": base.spec_needs,
        "strategy": contexts["strategy"],
        "call": outer.call,
    }
    if cell is not None:
        call["matrix"] = cell.values
    if base.when.condition is not None or base.needs:
        call["if"] = base.when.text or "success()"
    _, texts = jobs.id_of(base, cell)
    return Level(
        contexts={**outer.contexts, "inputs": inputs, "matrix": None},
        prefix=f"{outer.prefix}{base.name}/",
        title=f"{jobs.title(base, cell, contexts)} / ",
        cell=texts,
        entry=base.needs,
        line=outer.line or base.key.line,
        col=outer.col or base.key.col,
        when=base.when,
        call=call,
        secrets=_secrets(jobs, base),
        trail=trail,
        strategy=base.strategy if base.strategy.cells is not None else outer.strategy,
        rights=_rights(jobs, base),
    )


def _rights(jobs: Jobs, base: _Base) -> Mapping[str, str] | None:
    """What the job that calls may do: as it says, or its file, or the call around."""
    for node in (base.body, jobs.root):
        found = grants.rights_of(node)
        if found is not None:
            return found
    return jobs.level.rights


def _declared(declared: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    found = declared.get(key)
    if not isinstance(found, dict):
        return {}
    return {name: each if isinstance(each, dict) else {} for name, each in found.items()}


def _secrets(jobs: Jobs, base: _Base) -> dict[str, str] | None:
    """Names in the called workflow to the variables that hold the values."""
    node = base.body.get("secrets")
    outer = jobs.level.secrets
    if node is not None and node.text == "inherit":
        return dict(outer) if outer is not None else None
    made = {"GITHUB_TOKEN": "GITHUB_TOKEN"}
    for name, _, value in node.items() if node is not None else ():
        held = _secret_in(value.text or "")
        if held is not None:
            known = held if outer is None else outer.get(held)
            if known:
                made[name.upper()] = known
    return made


def _secret_in(text: str) -> str | None:
    """The one secret that a text is made of."""
    try:
        found = [each.path for part in template(text) if part.tree is not None for each in references(part.tree)]
    except ExpressionError:
        return None
    names = {path[1].upper() for path in found if path[0].lower() == "secrets" and len(path) == 2}
    return names.pop() if len(names) == 1 else None


# What cannot be looked into ----------------------------------------------------------------------------------------


def _missing(jobs: Jobs, base: _Base, node: Node, uses: str, is_gated: bool) -> Unit:
    if uses.startswith(("./", "$/")):
        why = f"the workflow {shorten(uses)} is not in this folder"
    else:
        project = "/".join(uses.partition("@")[0].split("/")[:2])
        why = f"the workflow {shorten(uses)} is not here; --include {shorten(project)}=DIR names a checkout of it"
    path = "/".join(jobs.source.file.split("/")[-3:-1])
    if uses.startswith(("./", "$/")) and path == ".github/workflows":
        jobs.walk.problem(node, "uses", f"there is no {shorten(uses)} in this repository", "warning")
    jobs.found.missing.append(Problem(jobs.source.file, node.line, node.col, "missing-workflow", "note", why))
    return _alone(jobs, base, why, is_gated)


def _alone(jobs: Jobs, base: _Base, why: str, is_gated: bool) -> Unit:
    """One stage a cell, of which nothing can run here."""
    level = jobs.level
    cells: tuple[Cell | None, ...] = base.strategy.cells if base.strategy.cells is not None else (None,)
    stages = []
    for place, cell in enumerate(cells):
        contexts = jobs.contexts(base, cell, place, len(cells))
        id_, texts = jobs.id_of(base, cell)
        title = jobs.title(base, cell, contexts)
        uses = (base.body.get("uses") or base.key).text or ""
        spec = {**jobs.spec(base, cell, contexts), "uses": clean(uses)}
        job = Job("github", title, reads=tuple(jobs.read_outputs(base)), unplayable=why, spec=spec)
        lock = jobs.lock(base.body, contexts)
        stages.append(
            Stage(
                id_, level.prefix + base.name, level.line or base.key.line, level.col or base.key.col, "job",
                needs=base.needs, need_lines=base.need_lines, join=base.when.join, always=base.when.always,
                when=base.when.condition, cell=texts or None, locks={lock: "exclusive"} if lock else {},
                secrets=jobs.secrets(base, base.key), job=job,
            )
        )  # fmt: skip
    jobs.made(base, tuple(stages))
    return Unit(tuple(stages), {"stages": [each.id for each in stages]}, is_gated)


# What is given --------------------------------------------------------------------------------------------------------


def _check(jobs: Jobs, base: _Base, uses: str, declared: Mapping[str, Any]) -> None:
    """`with` and `secrets` against what the called workflow declares. Capitals make no difference."""
    node = base.body.get("with")
    _names(jobs, base, node, _declared(declared, "inputs"), "input", uses)
    for name, _key, value in node.items() if node is not None else ():
        spec = {each.lower(): said for each, said in _declared(declared, "inputs").items()}.get(name.lower())
        if spec is not None and value.kind == SCALAR and "${{" not in str(value.value):
            type_ = str(spec.get("type", "string"))
            text = str(value.value)
            is_fit = (
                type_ == "string"
                or (type_ == "boolean" and text in ("true", "false"))
                or (type_ == "number" and number(text) is not None)
            )
            if not is_fit:
                jobs.walk.problem(value, "input", f"input `{shorten(name)}` must be a {type_}, not '{shorten(text)}'")
    secrets = base.body.get("secrets")
    if secrets is None or secrets.kind == MAP:
        _names(jobs, base, secrets, _declared(declared, "secrets"), "secret", uses)


def _names(
    jobs: Jobs, base: _Base, node: Node | None, specs: Mapping[str, Mapping[str, Any]], kind: str, uses: str
) -> None:
    known = {name.lower(): name for name in specs}
    given = {name.lower() for name, _, _ in (node.items() if node is not None else ())}
    for name, key, _ in node.items() if node is not None else ():
        if name.lower() not in known:
            near = nearest(name, specs) if specs else f"; it has no {kind}s"
            jobs.walk.problem(key, f"unknown-{kind}", f"{shorten(uses)} has no {kind} `{shorten(name)}`{near}")
    for name, spec in specs.items():
        if spec.get("required") is True and name.lower() not in given:
            said = f"{shorten(uses)} asks for the {kind} `{shorten(name)}`, which is not given"
            jobs.walk.problem((base.body.entry("uses") or (base.key,))[0], f"missing-{kind}", said)
