"""What contexts have in one file, job and step, as types: which steps, jobs, inputs and cells there are. Reads no
expression."""

from __future__ import annotations

from stagebook.formats.github.checks.types import (
    ANY,
    BOOLEAN,
    DEPTH_MAX,
    NUMBER,
    OPEN,
    STRING,
    TEXTS,
    Type,
    merged,
    object_of,
    of_value,
)
from stagebook.formats.github.expression import ExpressionError, fill
from stagebook.formats.github.expression.value import UNKNOWN, has_unknown
from stagebook.formats.github.values import value_of
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

    from stagebook.formats.github.local import Files

_TEXTS_OF_GITHUB = (
    "action action_path action_ref action_repository action_status actor actor_id api_url artifact_cache_size_limit "
    "base_ref env event_name event_path graphql_url head_ref job job_workflow_sha output path ref ref_name "
    "ref_type repository repository_id repository_owner repository_owner_id repository_visibility repositoryurl "
    "retention_days run_attempt run_id run_number secret_source server_url sha state step_summary token "
    "triggering_actor workflow workflow_ref workflow_sha workspace"
)
GITHUB = object_of(
    {
        **dict.fromkeys(_TEXTS_OF_GITHUB.split(), STRING),
        "event": OPEN,
        "ref_protected": BOOLEAN,
    }
)
_PORTS = object_of({"id": STRING, "network": STRING, "ports": TEXTS})
JOB = object_of(
    {
        "check_run_id": NUMBER,
        "container": object_of({"id": STRING, "network": STRING}),
        "services": object_of({}, _PORTS),
        "status": STRING,
        **dict.fromkeys("workflow_ref workflow_sha workflow_repository workflow_file_path".split(), STRING),
    }
)
RUNNER = object_of(
    dict.fromkeys("name os arch temp tool_cache debug environment workspace".split(), STRING)
)  # fmt: skip
STRATEGY = object_of(
    {"fail-fast": BOOLEAN, "job-index": NUMBER, "job-total": NUMBER, "max-parallel": NUMBER}
)  # fmt: skip
_INPUT_TYPES = {"string": STRING, "boolean": BOOLEAN, "number": NUMBER, "choice": STRING, "environment": STRING}


class Known:
    """The types of one file's contexts; of a job and a step as they are asked for."""

    def __init__(self, root: Node, triggers: Mapping[str, Any], files: Files) -> None:
        self.triggers = triggers
        self.files = files
        jobs = root.get("jobs")
        self.jobs = {name: body for name, _, body in (jobs.items() if jobs is not None else ())}
        self.folded = {name.lower(): name for name in self.jobs}
        on = root.get("on")
        call = on.get("workflow_call") if on is not None else None
        self.called = call.get("inputs") if call is not None else None
        self.inputs = self._inputs()
        self.github = self._github()
        self.secrets = self._secrets()
        self._of_job: dict[str, dict[str, Type]] = {}
        self._ids: dict[str, list[tuple[int, str, Type]]] = {}
        self._last: tuple[tuple[str | None, int | None, bool], dict[str, Type]] | None = None

    def of(self, job: str | None, step: int | None, key: str) -> dict[str, Type]:
        """All contexts there, by name."""
        asked = (job, step, key.startswith("on.workflow_call.outputs"))
        if self._last is None or self._last[0] != asked:
            self._last = asked, self._made(*asked)
        return self._last[1]

    def _made(self, job: str | None, step: int | None, is_output: bool) -> dict[str, Type]:
        made = {
            "github": self.github, "env": TEXTS, "vars": TEXTS, "secrets": self.secrets, "inputs": self.inputs,
            "runner": RUNNER, "job": JOB, "strategy": STRATEGY,
        }  # fmt: skip
        if is_output:
            made["jobs"] = object_of({name: self._need(name) for name in self.jobs})
        if job is not None:
            if job not in self._of_job:
                self._of_job = {job: {"needs": self._needs(job), "matrix": self._matrix(job)}}
            made |= self._of_job[job]
            made["steps"] = self._steps_of(job, step)
        return made

    def default(self, node: Node) -> tuple[Type, Type | None]:
        """The inputs that stand before the one of a workflow call with that default, and its own type."""
        before: dict[str, Type] = {}
        for name, _, body in self.called.items() if self.called is not None else ():
            type_ = body.get("type")
            made = _INPUT_TYPES.get((type_.text if type_ is not None else None) or "", ANY)
            if body.get("default") is node:
                return object_of(before), made
            before[name] = made
        return object_of(before), None

    def _github(self) -> Type:
        inputs = self.triggers.get("workflow_dispatch")
        if set(self.triggers) != {"workflow_dispatch"} or not isinstance(inputs, dict):
            return GITHUB
        declared = inputs.get("inputs")
        texts = object_of(dict.fromkeys(declared, STRING) if isinstance(declared, dict) else {})
        return GITHUB._replace(props={**GITHUB.props, "event": object_of({"inputs": texts}, ANY)})

    def _inputs(self) -> Type:
        found: Type | None = None
        for event in ("workflow_call", "workflow_dispatch"):
            settings = self.triggers.get(event)
            if settings is None:
                continue
            declared = settings.get("inputs")
            declared = declared if isinstance(declared, dict) else {}
            made = object_of(
                {
                    name: _INPUT_TYPES.get(str(each.get("type", "string")), ANY) if isinstance(each, dict) else ANY
                    for name, each in declared.items()
                }
            )  # fmt: skip
            if event == "workflow_call":
                made = made._replace(props={name: each if isinstance(declared_type(declared, name), str) else ANY for name, each in made.props.items()})  # fmt: skip  # noqa: E501
            found = made if found is None else merged(found, made)
        return found or object_of({})

    def _secrets(self) -> Type:
        settings = self.triggers.get("workflow_call")
        declared = settings.get("secrets") if settings is not None else None
        if settings is None or "secrets" not in settings or len(self.triggers) > 1:
            return TEXTS
        declared = declared if isinstance(declared, dict) else {}
        usual = ("github_token", "actions_step_debug", "actions_runner_debug")
        return object_of(dict.fromkeys([*declared, *usual], STRING))

    # Jobs -------------------------------------------------------------------------------------------------------------

    def _need(self, name: str) -> Type:
        body = self.jobs[name]
        outputs = body.get("outputs")
        if body.entry("uses") is not None:
            made = self._outputs_of_call(body)
        else:
            made = object_of({each: STRING for each, _, _ in (outputs.items() if outputs is not None else ())})
        return object_of({"outputs": made, "result": STRING})

    def _outputs_of_call(self, body: Node) -> Type:
        from stagebook.model.problem import InputError

        uses = (body.get("uses") or body).text or ""
        try:
            source = self.files.source(uses)
        except InputError:
            return TEXTS
        on = source.documents[0].get("on") if source is not None and source.documents else None
        call = on.get("workflow_call") if on is not None else None
        outputs = call.get("outputs") if call is not None else None
        if source is None or not source.documents or on is None:
            return TEXTS
        return object_of({each: STRING for each, _, _ in (outputs.items() if outputs is not None else ())})

    def _needs(self, job: str) -> Type:
        asked = self.jobs[job].get("needs")
        names = [self.folded.get(text.lower()) for text in (asked.texts if asked is not None else ())]
        return object_of({name: self._need(name) for name in names if name is not None})

    def _matrix(self, job: str) -> Type:
        strategy = self.jobs[job].get("strategy")
        if strategy is None:
            return object_of({})
        matrix = strategy.get("matrix")
        if strategy.kind == SCALAR or (matrix is not None and matrix.kind == SCALAR):
            node = matrix if matrix is not None else strategy
            return OPEN if matrix is None else _from_json(node)
        if matrix is None or matrix.kind != MAP:
            return object_of({})
        props: dict[str, Type] = {}
        is_open = False
        for name, _, value in matrix.items():
            if name.startswith("${{"):
                is_open = True
            elif name == "include":
                is_open = is_open or value.kind != LIST
                for item in value:
                    is_open = is_open or item.kind != MAP
                    for each, _, held in item.items():
                        type_ = _typed(held)
                        props[each.lower()] = merged(props[each.lower()], type_) if each.lower() in props else type_
            elif name != "exclude":
                props[name.lower()] = _item(value)
        return Type("object", props, ANY if is_open else None)

    # Steps ------------------------------------------------------------------------------------------------------------

    def _steps_of(self, job: str, before: int | None) -> Type:
        """The steps with ids, those before a place only."""
        if job not in self._ids:
            self._ids = {job: list(self._with_ids(job))}  # jobs come one after another
        return object_of({name: each for place, name, each in self._ids[job] if before is None or place < before})

    def _with_ids(self, job: str) -> Iterator[tuple[int, str, Type]]:
        for place, step in enumerate(self.jobs[job].get("steps") or ()):
            for each in [step, *(step.get("parallel") or ())]:
                node = each.get("id")
                if node is not None and node.kind == SCALAR and node.text:
                    made = {"outputs": self._outputs_of_step(each), "conclusion": STRING, "outcome": STRING}
                    yield place, node.text, object_of(made)

    def _outputs_of_step(self, step: Node) -> Type:
        uses = step.get("uses")
        if uses is None or not uses.text:
            return TEXTS
        found = self.files.action(uses.text)
        if found is None:
            return TEXTS
        outputs = found[1].get("outputs")
        runs = found[1].get("runs")
        if runs is None:
            return TEXTS
        using = runs.get("using")
        is_open = using is None or (using.text or "") != "composite"
        return object_of(
            {each: STRING for each, _, _ in (outputs.items() if outputs is not None else ())},
            STRING if is_open and outputs is None else None,
        )


def declared_type(declared: Mapping[str, Any], folded: str) -> Any:
    """What an input of a call says of its type; None where it says nothing."""
    for name, each in declared.items():
        if name.lower() == folded:
            return each.get("type") if isinstance(each, dict) else None
    return None


def _item(node: Node) -> Type:
    """What one value of an axis is."""
    if node.kind == SCALAR:
        found = _from_json(node)
        return (found.rest or ANY) if found.kind == "array" else ANY
    found = _typed(node)
    return (found.rest or ANY) if found.kind == "array" else ANY


def _typed(node: Node) -> Type:
    return of_value(_static(value_of(node)))


def _static(value: Any, depth: int = 0) -> Any:
    """A value of the file with those of its expressions evaluated that speak of nothing."""
    if isinstance(value, dict) and depth < DEPTH_MAX:
        return {key: _static(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list) and depth < DEPTH_MAX:
        return [_static(each, depth + 1) for each in value]
    if isinstance(value, str) and "${{" in value:
        try:
            found = fill(value, {})
        except ExpressionError:
            return value
        return value if found is UNKNOWN or has_unknown(found) else found
    return value


def _from_json(node: Node) -> Type:
    """The type of an expression whose value is written in the file, as by `fromJSON('…')`."""
    try:
        value = fill(str(node.value), {})
    except ExpressionError:
        return ANY
    if value is UNKNOWN or has_unknown(value):
        return ANY
    found = of_value(value)
    return found if found.kind in ("object", "array") else ANY
