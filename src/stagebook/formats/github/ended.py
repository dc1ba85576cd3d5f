"""The contexts that a job's spec makes with how other jobs ended: `needs`, `inputs`, `matrix` and so on, as far as they
are known. Used to judge conditions and to run jobs; reads no file and evaluates texts of the spec only.
"""

from __future__ import annotations

from stagebook.formats.github.expression import UNKNOWN, ExpressionError, Open, fill, to_bool, to_text
from stagebook.formats.github.expression.value import to_number
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

    from stagebook.formats.github.spec import Call, JobSpec, Need

#: Results of jobs, by outcomes of stages. A job that takes too long is cancelled, as its system has it.
RESULTS = {
    "success": "success", "failure": "failure", "error": "failure", "timeout": "cancelled",
    "cancellation": "cancelled", "skip": "skipped",
}  # fmt: skip
_CALLS_MAX = 20


class Ended(NamedTuple):
    """How a stage ended: `result` is success, failure, cancelled or skipped."""

    result: str
    outputs: Mapping[str, str] = {}


def result_of(outcome: str, is_allowed: bool) -> str:
    """The result of a job whose stage ended so. One that may fail is a success to others."""
    result = RESULTS.get(outcome, "failure")
    return "success" if is_allowed and result == "failure" else result


def contexts(base: Mapping[str, Any], spec: JobSpec, ended: Callable[[str], Ended | None]) -> dict[str, Any]:
    """All contexts of a job but those of its steps. `base` is `Pipeline.context`; `ended` tells how a stage ended,
    None: not yet. Values that are not known yet are UNKNOWN."""
    found = _of(base, spec, ended, 0)
    call = spec.get("call")
    if call:
        found["inputs"] = inputs(base, call, ended, 0)
    return {**found, **spec.get("contexts", {})}


def around(base: Mapping[str, Any], call: Call, ended: Callable[[str], Ended | None], depth: int = 0) -> dict[str, Any]:
    """The contexts of the job that calls: those of its `if` and `with`."""
    found = _of(base, call, ended, depth)
    outer = call.get("call")
    if outer and depth < _CALLS_MAX:
        found["inputs"] = inputs(base, outer, ended, depth + 1)
    return {**found, **(call.get("contexts") or {})}


def inputs(base: Mapping[str, Any], call: Call, ended: Callable[[str], Ended | None], depth: int = 0) -> dict[str, Any]:
    """The `inputs` of a called workflow: what is given, else defaults, in the types that it declares."""
    surrounding: dict[str, Any] | None = None
    found: dict[str, Any] = {}
    given = call.get("with") or {}
    declared = call.get("inputs") or {name: {} for name in given}
    for name, entry in declared.items():
        value = given.get(name, entry.get("default"))
        if isinstance(value, str) and "${{" in value:
            if surrounding is None:
                surrounding = around(base, call, ended, depth)
            try:
                value = fill(value, surrounding)
            except ExpressionError:
                value = None
        found[name] = value if value is UNKNOWN else typed(value, entry.get("type"))
    return found


def typed(value: Any, kind: str | None) -> Any:
    """A value of an input as its declared type has it; nothing given is what the type has for nothing."""
    if kind == "boolean":
        return value.strip().lower() == "true" if isinstance(value, str) else to_bool(value)
    if kind == "number":
        return to_number(value)
    if kind == "string" or value is None:
        return to_text(value)
    return value


def needs(entries: Mapping[str, Need], ended: Callable[[str], Ended | None]) -> dict[str, Any]:
    """The `needs` context, by the ids in the file."""
    return {name: _need(entry, ended) for name, entry in entries.items()}


def _of(
    base: Mapping[str, Any], spec: JobSpec | Call, ended: Callable[[str], Ended | None], depth: int
) -> dict[str, Any]:
    return {
        **base,
        "needs": needs(spec.get("needs") or {}, ended),
        "matrix": spec.get("matrix") or {},
        "strategy": spec.get("strategy") or {},
    }


def _need(entry: Need, ended: Callable[[str], Ended | None]) -> dict[str, Any]:
    ends = [ended(stage) for stage in entry.get("stages", ())]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return Open()
    outputs: dict[str, Any] = {}
    for end in known:
        outputs.update({name: value for name, value in end.outputs.items() if value or name not in outputs})
    texts = entry.get("outputs")
    if texts is not None:
        jobs = {"jobs": needs(entry.get("jobs") or {}, ended)}
        outputs = {name: _filled(text, jobs) for name, text in texts.items()}
    return {"result": _together([end.result for end in known]), "outputs": outputs}


def _filled(text: str, found: Mapping[str, Any]) -> Any:
    try:
        value = fill(text, found)
    except ExpressionError:
        return ""
    return value if value is UNKNOWN else to_text(value)


def _together(results: list[str]) -> str:
    """Of several as one: the worst; skipped only if all are."""
    for each in ("failure", "cancelled", "success"):
        if each in results:
            return each
    return "skipped" if results else "success"
