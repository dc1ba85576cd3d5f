"""What a changed pipeline would take against what it was: the longest chain before and after, by what is known of the
stages. Simulates nothing, and knows neither files nor revisions."""

from __future__ import annotations

from stagebook.graph.difference import difference
from stagebook.graph.shape import shape
from stagebook.model.problem import InputError
from stagebook.model.quantity import duration_ms, share
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.model.pipeline import Pipeline


class Limit(NamedTuple):
    """How much slower it may get: by so many seconds, or by such a share of what it took."""

    text: str
    seconds: float | None = None
    share: float | None = None


def limit(text: str) -> Limit:
    """`60s` or `10%`. InputError for what is neither."""
    try:
        if text.endswith("%"):
            return Limit(text, share=share(text))
        return Limit(text, seconds=duration_ms(text) / 1000)
    except ValueError as error:
        raise InputError(
            f"--max-slower {text}: expected a duration such as 60s, or a share such as 10%: {error}"
        ) from None


def document(
    before: Pipeline, after: Pipeline, took_s: Mapping[str, float], base: str, most: Limit | None
) -> dict[str, Any]:
    """`took_s`: seconds by stage id, of those that are known. A chain in which one is not known is known to take at
    least as long; where none is known nothing is, and no limit is judged by it."""
    found = difference(before, after)
    then, now = _chain(before, took_s), _chain(after, took_s)
    is_known = then["s"] is not None and now["s"] is not None
    change = round(now["s"] - then["s"], 3) if is_known else None
    unknown = [stage.id for stage in after.stages if stage.id not in took_s and stage.kind != "gate"]
    return {
        "pipeline": after.name,
        "file": after.file,
        "base": base,
        "stages": {
            "added": found.added,
            "removed": found.removed,
            "changed": [{"stage": id_, "keys": keys} for id_, keys in found.changed],
        },
        "edges": {
            "added": [{"from": need, "to": stage} for need, stage in found.edges_added],
            "removed": [{"from": need, "to": stage} for need, stage in found.edges_removed],
        },
        "before": {"critical_path": then["path"], "critical_path_s": then["s"]},
        "after": {"critical_path": now["path"], "critical_path_s": now["s"]},
        "change_s": change,
        "unknown": unknown if is_known else [],
        "max_slower": most.text if most is not None else None,
        "is_slower": None if most is None or change is None else _is_beyond(change, then["s"], most),
    }


def _is_beyond(change: float, before: float, most: Limit) -> bool:
    if most.seconds is not None:
        return change > most.seconds
    return change > before * (most.share or 0.0)


def _chain(pipeline: Pipeline, took_s: Mapping[str, float]) -> dict[str, Any]:
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    needs = [[at[need] for need in stage.needs] for stage in pipeline.stages]
    known = [took_s.get(stage.id, 0.0) for stage in pipeline.stages]
    is_known = any(stage.id in took_s for stage in pipeline.stages)
    found = shape(needs, known if is_known else None)
    path = [pipeline.stages[index].id for index in found.critical]
    return {"path": path, "s": round(found.length, 3) if is_known else None}
