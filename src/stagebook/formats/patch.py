"""A CI system's file with changes made, and the proof that it is what was meant: read again, the pipeline has the old
edges and the asked ones, and nothing else is different. The edits themselves are the formats'."""

from __future__ import annotations

from stagebook.formats import load
from stagebook.formats.changes import (
    FailFast,
    Interruptible,
    Lock,
    MaxParallel,
    Needs,
    NeedsOnly,
    Split,
    Timeout,
    joined,
)
from stagebook.formats.request import NOTHING, Request
from stagebook.formats.source.nodes import read
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.problem import InputError, Problem
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping, NoReturn, Sequence

    from stagebook.formats.changes import Change

_PLACES = frozenset(("line", "col", "end_line", "need_lines", "lines", "start", "end"))
_UNORDERED = frozenset(("machine_locks", "missing", "secrets", "reads", "writes"))
#: What of a stage a change of each kind may touch, beside the text of its job.
_TOUCHED: dict[type, tuple[str, ...]] = {
    Needs: ("needs", "via", "declared", "early", "when", "join", "always"),
    NeedsOnly: ("needs", "via", "declared", "early", "when", "join", "always"),
    Timeout: ("timeouts",),
    FailFast: (),
    MaxParallel: (),
    Lock: ("locks",),
    Interruptible: (),
    Split: ("command",),
}
#: What of the pipeline.
_FRAME: dict[type, tuple[str, ...]] = {
    FailFast: ("matrices",),
    MaxParallel: ("matrices",),
    Lock: ("machine_locks", "pools"),
    Split: ("matrices", "groups"),
}
#: Of a stage whose needs' needs changed.
_FOLLOWS = ("when", "join", "always", "via", "declared", "early")


class Patched(NamedTuple):
    """`data` is the new file; `before` and `after` are the pipelines. `changes` are those that were made, with what
    they brought along."""

    data: bytes
    before: Pipeline
    after: Pipeline
    changes: tuple[Change, ...] = ()


def patched(
    data: bytes,
    file: str,
    changes: Iterable[Change],
    request: Request = NOTHING,
    format: str | None = None,
    rename_ok: bool = False,
    before: Pipeline | None = None,
) -> Patched:
    """The file with the changes made. `before`: what `data` is read as, where that is known.

    InputError where it has errors, where a change names a job that it has not, where no small edit makes it, where it
    would change more than that, and, without `rename_ok`, where jobs would be called something else.
    """
    format = format or load.format_of(data, file)
    if format not in load.FOREIGN:
        _refuse(file, f"{file} is no file of a CI system; `stagebook plan --apply` changes a native one")
    before = before or _read(data, file, request, format)
    wanted = joined(changes)
    names = {stage.name for stage in before.stages}
    for change in wanted:
        for name in (change.job, *_named(change)):
            if name not in names:
                _refuse(file, f"{file} has no job `{name}`")
    renames = [change for change in wanted if isinstance(change, Split)]
    if renames and not rename_ok:
        said = f"`{renames[0].job}` would run as {renames[0].parts} jobs of other names"
        _refuse(file, f"{said}, and a required check is known by its name; say --rename-ok if that is meant")
    if format == "github":
        from stagebook.formats.github import patch as github

        text = github.made(read(data, file), wanted)
    else:
        from stagebook.formats.gitlab import patch as gitlab

        text, wanted = gitlab.made(read(data, file), data, request, before, wanted)
    after, problems = load.parse(text, file, request, format)
    if after is None:
        first = next((each for each in problems if each.level == "error"), problems[0])
        _refuse(file, f"nothing was changed, as the file would be wrong: {first.message}", first.line)
    check(before, after, wanted)
    return Patched(text, before, after, tuple(wanted))


def sayers(data: bytes, file: str, request: Request, format: str) -> frozenset[str]:
    """The jobs that say of all artifacts which of them they are given. Empty for formats in which none can."""
    if format != "gitlab":
        return frozenset()
    from stagebook.formats.gitlab.said import Said

    said = Said(read(data, file), data, request)
    return frozenset([name for name in said.jobs if said.get(name, "dependencies") is not None])


def _read(data: bytes, file: str, request: Request, format: str) -> Pipeline:
    pipeline, problems = load.parse(data, file, request, format)
    if pipeline is None:
        errors = [problem for problem in problems if problem.level == "error"]
        raise InputError(f"{file} has errors, nothing was changed", errors)
    return pipeline


def _named(change: Change) -> tuple[str, ...]:
    if isinstance(change, Needs):
        return (*change.add, *change.remove)
    return change.needs if isinstance(change, NeedsOnly) else ()


def _refuse(file: str, message: str, line: int = 0) -> NoReturn:
    raise InputError(message, [Problem(file, line, 1 if line else 0, "patch", "error", message)])


# Whether it is what was meant


def check(before: Pipeline, after: Pipeline, changes: Sequence[Change]) -> None:
    """InputError unless `after` is `before` with the changes and nothing else."""
    split = {change.job for change in changes if isinstance(change, Split)}
    old = {stage.id: stage for stage in before.stages if stage.name not in split}
    new = {stage.id: stage for stage in after.stages if stage.name not in split}
    if list(old) != list(new):
        other = sorted(old.keys() ^ new.keys())
        _differs(before, old.get(other[0]) if other else None, "other jobs would come of it")
    needs_change = any(isinstance(change, (Needs, NeedsOnly)) for change in changes)
    old_needs, new_needs = by_name(before), by_name(after)
    wanted = _wanted(old_needs, changes)
    for name, stages in _by_job(before).items():
        if not _is_same(name, old_needs, wanted, new_needs, before.format == "gitlab"):
            _differs(before, stages[0], "it would wait for other jobs than that")
    for id_, stage in old.items():
        touched = {name for change in changes if change.job == stage.name for name in _TOUCHED[type(change)]}
        touched |= set(_FOLLOWS) if needs_change else set()
        own = [change for change in changes if change.job == stage.name]
        if any(isinstance(change, NeedsOnly) for change in own):
            _keeps_what_it_reads(before, stage, new[id_])
        _compare(before, stage, new[id_], touched, bool(own), needs_change, bool(split))
    apart = {name for change in changes for name in _FRAME.get(type(change), ())}
    apart |= {"stages", "digest", "problems", "unbuilt", "grades"}
    for name in Pipeline._fields:
        if name not in apart and _bare_of(before, name) != _bare_of(after, name):
            _differs(before, None, f"`{name}` of the whole pipeline would differ")


def _keeps_what_it_reads(before: Pipeline, old: Stage, new: Stage) -> None:
    if old.job is not None and new.job is not None:
        had, has = ({(each.kind, each.name) for each in job.reads} for job in (old.job, new.job))
        if not had <= has:
            _differs(before, old, f"it would no longer be given {sorted(had - has)[0][1]}")


def _compare(
    before: Pipeline, old: Stage, new: Stage, touched: set[str], is_own: bool, needs_change: bool, is_split: bool
) -> None:
    for name in Stage._fields:
        if name in _PLACES or name in touched or name in ("job", "needs"):
            continue
        if bare(getattr(old, name)) != bare(getattr(new, name)):
            _differs(before, old, f"its `{name}` would differ")
    if (old.job is None) != (new.job is None):
        _differs(before, old, "it would be no job")
    if old.job is None or new.job is None or is_own and touched & {"command"}:
        return
    apart = {"by_order", "steps"} if needs_change or is_split else {"steps"}
    apart |= {"spec", "reads"} if is_split else set()  # needs are listed by cell
    apart |= {"spec", "reads"} if is_own else set()
    for name in old.job._fields:
        if name not in apart and _bare_of(old.job, name) != _bare_of(new.job, name):
            _differs(before, old, f"its `{name}` would differ")


def _is_same(
    name: str,
    old: Mapping[str, set[str]],
    wanted: Mapping[str, set[str]],
    new: Mapping[str, set[str]],
    is_ordered: bool,
) -> bool:
    """Whether a job waits for what it shall. Where the order of stages is part of it, all that lies before counts: what
    is implied and what is not then depends on the others."""
    if wanted[name] == new.get(name, set()):
        return True
    if not is_ordered:
        return False
    before = before_of(name, new)
    return before == before_of(name, wanted) or (wanted[name] == old[name] and before == before_of(name, old))


def _wanted(needs: Mapping[str, set[str]], changes: Sequence[Change]) -> dict[str, set[str]]:
    wanted = {name: set(each) for name, each in needs.items()}
    for change in changes:
        gate = f"{change.job}:play"  # of a manual job, which is asked for what the job waits for
        job = gate if gate in wanted else change.job
        if isinstance(change, Needs):
            wanted[job] = (wanted[job] | set(change.add)) - set(change.remove)
        elif isinstance(change, NeedsOnly):
            wanted[job] = set(change.needs) & wanted.keys()
    return wanted


def by_name(pipeline: Pipeline) -> dict[str, set[str]]:
    """What each job needs, by the names that the file has; cells of a matrix together."""
    names = {stage.id: stage.name for stage in pipeline.stages}
    found: dict[str, set[str]] = {}
    for stage in pipeline.stages:
        found.setdefault(stage.name, set()).update([names[need] for need in stage.needs if need in names])
    return found


def before_of(name: str, needs: Mapping[str, set[str]]) -> set[str]:
    """All jobs that are over before one begins."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for need in needs.get(waiting.pop(), ()):
            if need not in found:
                found.add(need)
                waiting.append(need)
    return found


def _by_job(pipeline: Pipeline) -> dict[str, list[Stage]]:
    found: dict[str, list[Stage]] = {}
    for stage in pipeline.stages:
        found.setdefault(stage.name, []).append(stage)
    return found


def _bare_of(value: Any, name: str) -> Any:
    found = bare(getattr(value, name))
    return sorted(found, key=repr) if name in _UNORDERED else found


def bare(value: Any) -> Any:
    """A value of the model, or JSON, without the places that are in it."""
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        if names is None:
            return tuple([bare(each) for each in value])
        return tuple([0 if name in _PLACES else bare(each) for name, each in zip(names, value)])
    if isinstance(value, list):
        return [bare(each) for each in value]
    if hasattr(value, "items"):
        return {key: bare(each) for key, each in value.items() if key not in _PLACES}
    return value


def _differs(before: Pipeline, stage: Stage | None, why: str) -> NoReturn:
    where = f"`{stage.id}`: {why}" if stage is not None else why
    _refuse(before.file, f"nothing was changed, as no small edit does just that ({where})", stage.line if stage else 0)
