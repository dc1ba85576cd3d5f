"""A pipeline as plain JSON values and back, for the plan cache and the first line of a journal. No files.

Defaults are left out. What most stages share stands once, in `likes`: a stage names its entry there by number, so
that ten thousand stages are small to keep and quick to read, and equal values come back as one object.
"""

from __future__ import annotations

from operator import itemgetter

from stagebook.model.job import Datum, Grade, Job, JobStep
from stagebook.model.pipeline import (
    Condition,
    Each,
    Gate,
    Items,
    Limits,
    Matrix,
    Notify,
    Output,
    OutputOf,
    Param,
    Pipeline,
    PolicyRule,
    Pool,
    Quarantine,
    Rate,
    Resources,
    Retry,
    Secret,
    Split,
    Stage,
    Step,
    Timeouts,
)
from stagebook.model.problem import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

#: Fields that each stage has for itself; all others go to `likes`.
_OWN = ("id", "name", "line", "col", "command", "needs", "need_lines", "cell", "env", "inputs", "outputs", "via", "job")
_LIKE = tuple(field for field in Stage._fields if field not in _OWN)
_shared = itemgetter(*map(Stage._fields.index, _LIKE))
_DEFAULTS: dict[str, Any] = Stage._field_defaults
_PARTS: dict[str, Any] = {
    "resources": Resources, "retry": Retry, "timeouts": Timeouts, "when": Condition, "quarantine": Quarantine,
    "split": Split, "gate": Gate,
}  # fmt: skip
_FROM = ("env_from", "cmd_from")
_PIPELINE_PARTS = (
    "stages", "params", "secrets", "limits", "pools", "policies", "matrices", "groups", "notify", "problems",
    "unbuilt", "missing", "grades",
)  # fmt: skip
_new = tuple.__new__


def to_plain(pipeline: Pipeline) -> dict[str, Any]:
    """`from_plain` undoes it, also after a trip through JSON."""
    likes: list[dict[str, Any]] = []
    numbers: dict[Any, int] = {}
    stages = [_stage_out(stage, likes, numbers) for stage in pipeline.stages]
    plain: dict[str, Any] = {
        field: value
        for field, value in zip(Pipeline._fields, pipeline)
        if field not in _PIPELINE_PARTS and value != Pipeline._field_defaults.get(field, "")
    }
    plain["likes"] = likes
    plain["stages"] = stages
    if pipeline.params:
        plain["params"] = {name: _sparse(param) for name, param in pipeline.params.items()}
    if pipeline.secrets:
        plain["secrets"] = [list(secret) for secret in pipeline.secrets]
    if pipeline.limits != Limits():
        plain["limits"] = _sparse(pipeline.limits)
    if pipeline.pools:
        plain["pools"] = {name: _sparse(pool) for name, pool in pipeline.pools.items()}
    if pipeline.policies:
        plain["policies"] = [list(rule) for rule in pipeline.policies]
    if pipeline.matrices:
        plain["matrices"] = {name: _sparse(matrix) for name, matrix in pipeline.matrices.items()}
    if pipeline.groups:
        plain["groups"] = {name: list(ids) for name, ids in pipeline.groups.items()}
    if pipeline.notify:
        plain["notify"] = [_sparse(one) for one in pipeline.notify]
    for field in ("problems", "unbuilt", "missing", "grades"):
        if getattr(pipeline, field):
            plain[field] = [list(each) for each in getattr(pipeline, field)]
    return plain


def from_plain(plain: Mapping[str, Any]) -> Pipeline:
    """KeyError, TypeError, ValueError, IndexError or AttributeError where it is not what `to_plain` made."""
    likes = [_like_in(like) for like in plain["likes"]]
    values = dict(plain)
    del values["likes"]
    values["stages"] = tuple(_stages_in(plain["stages"], likes))
    if "params" in plain:
        values["params"] = {name: Param(**_tuples(param)) for name, param in plain["params"].items()}
    if "secrets" in plain:
        values["secrets"] = tuple(Secret(*secret) for secret in plain["secrets"])
    if "limits" in plain:
        limits = dict(plain["limits"])
        if "starts" in limits:
            limits["starts"] = Rate(*limits["starts"])
        values["limits"] = Limits(**limits)
    if "pools" in plain:
        values["pools"] = {name: _pool_in(pool) for name, pool in plain["pools"].items()}
    if "policies" in plain:
        values["policies"] = tuple(
            PolicyRule(use, None if when is None else Condition(*when)) for use, when in plain["policies"]
        )
    if "machine_locks" in plain:
        values["machine_locks"] = tuple(plain["machine_locks"])
    if "matrices" in plain:
        values["matrices"] = {name: Matrix(**_tuples(matrix)) for name, matrix in plain["matrices"].items()}
    if "groups" in plain:
        values["groups"] = {name: tuple(ids) for name, ids in plain["groups"].items()}
    if "notify" in plain:
        values["notify"] = tuple(Notify(**_tuples(one)) for one in plain["notify"])
    for field in ("problems", "unbuilt", "missing"):
        if field in plain:
            values[field] = tuple(Problem(*problem) for problem in plain[field])
    if "grades" in plain:
        values["grades"] = tuple(Grade(*grade) for grade in plain["grades"])
    for field in ("name", "file", "format", "digest"):
        values.setdefault(field, "")
    return Pipeline(**values)


def _sparse(value: Any) -> dict[str, Any]:
    """A named tuple as a dict without the fields that have their default."""
    defaults = value._field_defaults
    return {
        field: list(each) if type(each) is tuple else each
        for field, each in zip(value._fields, value)
        if field not in defaults or each != defaults[field]
    }


def _pool_in(plain: Mapping[str, Any]) -> Pool:
    rate = plain.get("rate")
    return Pool(**{**plain, "rate": None if rate is None else Rate(*rate)})


def _tuples(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {field: tuple(each) if type(each) is list else each for field, each in plain.items()}


def _stage_out(stage: Stage, likes: list[dict[str, Any]], numbers: dict[Any, int]) -> dict[str, Any]:
    out: dict[str, Any] = {"id": stage.id, "line": stage.line, "col": stage.col}
    if stage.name != stage.id:
        out["name"] = stage.name
    if stage.command:
        out["command"] = stage.command
    if stage.needs:
        out["needs"] = stage.needs
        lines = stage.need_lines
        out["need_lines"] = lines[0] if lines == lines[:1] * len(stage.needs) else lines
    if stage.cell is not None:
        out["cell"] = stage.cell
    if stage.env:
        out["env"] = stage.env
    if stage.inputs:
        out["inputs"] = stage.inputs
    if stage.outputs:
        out["outputs"] = [[output.path, output.early] if output.early else output.path for output in stage.outputs]
    if stage.via:
        out["via"] = stage.via
    if stage.job is not None:
        out["job"] = {**_sparse(stage.job), **_job_parts(stage.job)}
    shared = _shared(stage)
    objects = tuple(map(id, shared))  # mostly the very ones of a stage before, which is quicker to see than to compare
    number = numbers.get(objects)
    if number is None:
        number = numbers[objects] = _number(shared, likes, numbers)
    if number:
        out["like"] = number
    return out


def _number(shared: tuple[Any, ...], likes: list[dict[str, Any]], numbers: dict[Any, int]) -> int:
    """The place in `likes` of these fields of a stage."""
    like = {
        field: value
        if value is None
        else _each_out(value)
        if field == "each"
        else _sparse(value)
        if field in _PARTS
        else value
        for field, value in zip(_LIKE, shared)
        if field == "kind" or value != _DEFAULTS[field]
    }
    key = repr(like)
    number = numbers.get(key)
    if number is None:
        number = numbers[key] = len(likes)
        likes.append(like)
    return number


def _like_in(like: Mapping[str, Any]) -> tuple[Any, ...]:
    """The fields of `_LIKE` in their order."""
    unknown = like.keys() - set(_LIKE)
    if unknown:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    made = []
    for field in _LIKE:
        if field == "kind":
            made.append(like[field])
        elif field not in like:
            made.append(_DEFAULTS[field])
        elif field == "each":
            made.append(_each_in(like[field]))
        elif field in _PARTS:
            made.append(_PARTS[field](**_tuples(like[field])))
        elif field in _FROM:
            made.append({name: OutputOf(*of) for name, of in like[field].items()})
        elif type(like[field]) is list:
            made.append(tuple(like[field]))
        else:
            made.append(like[field])
    return tuple(made)


def _each_out(each: Each) -> dict[str, Any]:
    steps = [{**_sparse(step), **_step_parts(step)} for step in each.steps]
    return {"items": _sparse(each.items), "steps": steps, "on_failure": each.on_failure}


def _step_parts(step: Step) -> dict[str, Any]:
    return {
        field: _sparse(getattr(step, field))
        for field in ("retry", "resources")
        if getattr(step, field) != Step._field_defaults[field]
    }


def _each_in(plain: Mapping[str, Any]) -> Each:
    steps = []
    for step in plain["steps"]:
        parts = {field: _PARTS[field](**_tuples(step[field])) for field in ("retry", "resources") if field in step}
        steps.append(Step(**{**_tuples(step), **parts}))
    return Each(Items(**plain["items"]), tuple(steps), plain["on_failure"])


def _job_parts(job: Job) -> dict[str, Any]:
    steps = [{**_sparse(step), **_data_of(step)} for step in job.steps]
    return {**_data_of(job), **({"steps": steps} if steps else {})}


def _data_of(value: Job | JobStep) -> dict[str, Any]:
    return {
        field: [list(datum) for datum in getattr(value, field)]
        for field in ("reads", "writes")
        if getattr(value, field)
    }


def _job_in(plain: Mapping[str, Any]) -> Job:
    steps = tuple(JobStep(**_with_data(step)) for step in plain.get("steps", ()))
    return Job(**{**_with_data(plain), "steps": steps})


def _with_data(plain: Mapping[str, Any]) -> dict[str, Any]:
    values = _tuples(plain)
    for field in ("reads", "writes"):
        if field in values:
            values[field] = tuple(Datum(*datum) for datum in values[field])
    return values


def _output_in(plain: str | list[Any]) -> Output:
    return Output(plain) if type(plain) is str else Output(*plain)


def _stages_in(plain: list[dict[str, Any]], likes: list[tuple[Any, ...]]) -> list[Stage]:
    """Built past `Stage.__new__`, field by field in order: this loop is most of a cached read."""
    made: list[Stage] = []
    nothing: dict[str, str] = {}
    for each in plain:
        get = each.get
        (
            kind, join, always, group, priority, resources, locks, when, changed, quarantine, retry, timeouts, grace_ms,
            duration_ms, env_from, cmd_from, dir_, shell, critical, allow_failure, retry_safe, ordering, log_limit,
            declared, early, env_inputs, requires, secrets, split, gate, each_, generates,
            made_by, more,
        ) = likes[get("like", 0)]  # fmt: skip
        id_ = each["id"]
        command = get("command", "")
        needs = tuple(get("needs", ()))
        lines = get("need_lines", ())
        fields = (
            id_, get("name", id_), each["line"], each["col"], kind,
            command if type(command) is str else tuple(command), needs,
            (lines,) * len(needs) if type(lines) is int else tuple(lines),
            join, always, get("cell"), group, priority, resources, locks, when, changed, quarantine, retry, timeouts,
            grace_ms, duration_ms, get("env", nothing), env_from, cmd_from, dir_, shell, critical,
            allow_failure, retry_safe, ordering, log_limit,
            tuple(get("inputs", ())), tuple(map(_output_in, get("outputs", ()))), get("via", nothing),
            declared, early, env_inputs, requires, secrets, split, gate, each_, generates, made_by,
            _job_in(each["job"]) if "job" in each else None, more,
        )  # fmt: skip
        made.append(_new(Stage, fields))
    return made


assert Stage._fields == (
    "id", "name", "line", "col", "kind", "command", "needs", "need_lines", "join", "always", "cell", "group",
    "priority", "resources", "locks", "when", "changed", "quarantine", "retry", "timeouts", "grace_ms", "duration_ms",
    "env", "env_from", "cmd_from", "dir", "shell",
    "critical", "allow_failure", "retry_safe", "ordering", "log_limit_bytes", "inputs", "outputs", "via",
    "declared", "early", "env_inputs", "requires", "secrets", "split", "gate", "each", "generates", "made_by", "job",
    "more",
)  # fmt: skip
