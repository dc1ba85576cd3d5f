"""What differs between two pipelines: stages, what they say, and the edges between them. Places in a file do not count.
Pure."""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from stagebook.model.job import Job
    from stagebook.model.pipeline import Pipeline, Stage

_PLACES = frozenset(("id", "name", "line", "col", "need_lines", "needs", "via", "declared", "early"))
_KEYS = {
    "cell": "matrix", "timeouts": "timeout", "grace_ms": "grace", "duration_ms": "duration", "retry_safe": "retry-safe",
    "allow_failure": "allow-failure", "log_limit_bytes": "log-limit", "env_inputs": "env-inputs", "env_from": "env",
    "cmd_from": "command",
}  # fmt: skip


#: Of a job: places, what it waits for (edges are compared by themselves), and what follows from both.
_JOB_PLACES = frozenset(("line", "end_line", "needs", "call", "by_order", "file", "artifacts_from", "after"))
_JOB_KEYS = {"runner": "runs-on", "title": "name", "reads": "what it reads", "writes": "what it leaves"}


class Difference(NamedTuple):
    """`changed` names the keys that differ. Edges are (need, stage); those of a stage that is added or removed are too;
    `turned` are edges that lead over another path, or over none, than before."""

    added: list[str]
    removed: list[str]
    changed: list[tuple[str, list[str]]]
    edges_added: list[tuple[str, str]]
    edges_removed: list[tuple[str, str]]
    turned: list[tuple[str, str]]


def difference(base: Pipeline, now: Pipeline) -> Difference:
    """In order of the file: of `now`, and of `base` for what was removed."""
    before = {stage.id: stage for stage in base.stages}
    after = {stage.id: stage for stage in now.stages}
    edges_before = {(need, stage.id): stage.via.get(need) for stage in base.stages for need in stage.needs}
    edges_after = {(need, stage.id): stage.via.get(need) for stage in now.stages for need in stage.needs}
    changed = []
    for stage in now.stages:
        if stage.id in before and (what := list(dict.fromkeys(_differ(before[stage.id], stage)))):
            changed.append((stage.id, what))
    return Difference(
        [each for each in after if each not in before],
        [each for each in before if each not in after],
        changed,
        [each for each in edges_after if each not in edges_before],
        [each for each in edges_before if each not in edges_after],
        [each for each, via in edges_after.items() if each in edges_before and edges_before[each] != via],
    )


def _differ(one: Stage, other: Stage) -> Iterator[str]:
    for field in one._fields:
        if field in _PLACES:
            continue
        mine, theirs = getattr(one, field), getattr(other, field)
        if field == "when":
            mine, theirs = (None if each is None else each.text for each in (mine, theirs))
        if _plain(mine) == _plain(theirs):
            continue
        if field == "job" and mine is not None and theirs is not None:
            yield from _jobs_differ(mine, theirs)
        elif field == "more":
            yield from sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key))
        else:
            yield _KEYS.get(field, field)


def _jobs_differ(one: Job, other: Job) -> Iterator[str]:
    """What of a job differs, lines and needs aside: the keys of its file as far as they are known."""
    mine, theirs = _placeless(one), _placeless(other)
    if mine == theirs:
        return
    before, after = mine.pop("spec"), theirs.pop("spec")
    found = [_JOB_KEYS.get(key, key) for key in mine if mine[key] != theirs[key]]
    found += [key.replace("_", "-") for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    yield from dict.fromkeys(found)


def _placeless(value: Any) -> Any:
    """Values, jobs and their steps as plain ones, without where they stand and what they need."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if hasattr(value, "keys"):
        return {key: _placeless(each) for key, each in value.items() if key not in _JOB_PLACES}
    return [_placeless(each) for each in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "keys") else value
