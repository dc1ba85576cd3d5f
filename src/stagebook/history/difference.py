"""What is different between two runs: stages that got slower or faster, came or went, ended otherwise, and what had
been changed in between. Made from their two stories; reads no database.

Work and waiting are told apart: work is the time in which attempts of a stage ran, all that ended and nobody stopped.
Of the environment only names are told, never values. Why a stage ran that need not have is told as the run noted it.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

    from stagebook.model.pipeline import Stage
    from stagebook.record.story import Story

#: Less than this is no difference between two single runs: it is less than starting a process may differ by.
LEAST_S = 0.1
LEAST_SHARE = 0.05

#: Fields of a stage that say where it stands, what stages together are, or what is compared in a way of its own.
_ASIDE = frozenset(["id", "name", "line", "col", "need_lines", "needs", "env", "via", "cell", "group"])
#: Fields whose values may be told.
_TOLD = ("command", "dir", "shell", "kind")
_OF_RUN = ("mode", "jobs", "policy", "file")


class Run(NamedTuple):
    """One side: what `show` tells of it, its story with the plan, and its first line."""

    document: Mapping[str, Any]
    story: Story
    first: Mapping[str, Any]


def compare(before: Run, after: Run) -> dict[str, Any]:
    """The document of `diff`."""
    old = {stage["stage"]: stage for stage in before.document["stages"]}
    new = {stage["stage"]: stage for stage in after.document["stages"]}
    both = [stage for stage in new if stage in old]
    worked = [_times(stage, old[stage], new[stage]) for stage in both]
    known = [one for one in worked if one["change_s"] is not None]
    slower = sorted((one for one in known if _is_much(one)), key=lambda one: -one["change_s"])
    path = frozenset(after.document["critical_path"]) | frozenset(before.document["critical_path"])
    for one in worked:
        one["critical"] = one["stage"] in path
    found = {
        "before": _side(before),
        "after": _side(after),
        "wall_change_s": _minus(after.document["wall_s"], before.document["wall_s"]),
        "slower": [one for one in slower if one["change_s"] > 0],
        "faster": [one for one in reversed(slower) if one["change_s"] < 0],
        "unchanged": len(known) - len(slower),
        "added": [stage for stage in new if stage not in old],
        "removed": [stage for stage in old if stage not in new],
        "outcomes": [
            {"stage": stage, "before": _end(old[stage]), "after": _end(new[stage])}
            for stage in both
            if _end(old[stage]) != _end(new[stage])
        ],
        "changes": list(_changes(before, after, both)),
        "waiting": _waiting(before.document, after.document, worked),
        "critical_path": {
            "before": before.document["critical_path"],
            "after": after.document["critical_path"],
            "before_s": before.document["critical_path_s"],
            "after_s": after.document["critical_path_s"],
        },
    }
    return found


def _side(run: Run) -> dict[str, Any]:
    names = ("run", "pipeline", "outcome", "reason", "state", "started", "wall_s", "mode", "jobs", "policy")
    side = {name: run.document.get(name) for name in names}
    return side | {"commit": run.first.get("commit"), "branch": run.first.get("branch")}


def _times(stage: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    one, other = _work_s(old), _work_s(new)
    return {
        "stage": stage,
        "before_s": one,
        "after_s": other,
        "change_s": _minus(_worked_s(new, other), _worked_s(old, one)),
        "attempts": [len(old["attempts"]), len(new["attempts"])],
        "wait_before_s": old["wait_s"],
        "wait_after_s": new["wait_s"],
    }


def _work_s(stage: Mapping[str, Any]) -> float | None:
    """How long its attempts ran; None where none did to its end."""
    spans = [
        attempt["to_s"] - attempt["from_s"]
        for attempt in stage["attempts"]
        if attempt["to_s"] is not None and attempt["outcome"] != "cancellation"
    ]
    return round(sum(spans), 6) if spans else None


def _worked_s(stage: Mapping[str, Any], work_s: float | None) -> float | None:
    """A stage that was skipped has taken nothing: what it takes where it runs makes the difference."""
    return 0.0 if work_s is None and stage["outcome"] == "skip" else work_s


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else round(one - other, 6)


def _is_much(one: Mapping[str, Any]) -> bool:
    change: float = abs(one["change_s"])
    return change >= LEAST_S and change >= LEAST_SHARE * max(one["before_s"] or 0.0, one["after_s"] or 0.0)


def _end(stage: Mapping[str, Any]) -> dict[str, Any]:
    last = stage["attempts"][-1] if stage["attempts"] else {}
    return {
        "outcome": stage["outcome"],
        "reason": stage["reason"] or last.get("reason"),
        "exit": last.get("exit"),
        "signal": last.get("signal"),
        "flaky": stage["flaky"],
    }


def _waiting(old: Mapping[str, Any], new: Mapping[str, Any], worked: list[dict[str, Any]]) -> dict[str, Any]:
    """Waiting of all stages by what they waited for, and the stages whose waiting changed most."""
    causes = sorted({*old["waiting_by"], *new["waiting_by"]})
    changed = [
        {"stage": one["stage"], "before_s": one["wait_before_s"], "after_s": one["wait_after_s"],
         "change_s": _minus(one["wait_after_s"] or 0.0, one["wait_before_s"] or 0.0)}
        for one in worked
    ]  # fmt: skip
    much = [one for one in changed if abs(one["change_s"] or 0.0) >= LEAST_S]
    return {
        "by": {name: [old["waiting_by"].get(name), new["waiting_by"].get(name)] for name in causes},
        "stages": sorted(much, key=lambda one: -abs(one["change_s"] or 0.0)),
    }


# What had been changed --------------------------------------------------------------------------------------------


def _changes(before: Run, after: Run, both: list[str]) -> Iterator[dict[str, Any]]:
    for name in _OF_RUN:
        yield from _changed(None, name, before.document.get(name), after.document.get(name))
    for name in ("commit", "branch"):
        yield from _changed(None, name, before.first.get(name), after.first.get(name))
    one, other = before.story.pipeline, after.story.pipeline
    old_params, new_params = (run.first.get("params") or {} for run in (before, after))
    for name in sorted({*old_params, *new_params}):
        yield from _changed(None, f"param {name}", old_params.get(name), new_params.get(name))
    yield from _environment(None, one.env, other.env)
    old = {stage.id: stage for stage in one.stages}
    new = {stage.id: stage for stage in other.stages}
    for stage in both:
        if stage in old and stage in new:
            yield from _of_stage(stage, old[stage], new[stage])
    for index, each in enumerate(other.stages):
        if index in after.story.because and after.story.attempts[index]:
            yield {"stage": each.id, "what": "ran", "before": None, "after": after.story.because[index]}


def _of_stage(stage: str, old: Stage, new: Stage) -> Iterator[dict[str, Any]]:
    yield from _changed(stage, "needs", list(old.needs), list(new.needs))
    yield from _environment(stage, old.env, new.env)
    for field, one, other in zip(old._fields, old, new):
        if field in _ASIDE or one == other:
            continue
        name = field.removesuffix("_ms").removesuffix("_bytes").replace("_", " ")
        is_told = field in _TOLD
        yield {"stage": stage, "what": name, "before": _plain(one) if is_told else None,
               "after": _plain(other) if is_told else None}  # fmt: skip


def _environment(stage: str | None, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            words = {True: "set", False: "not set"}
            said = [words[name in old], words[name in new]]
            yield {"stage": stage, "what": f"env {name}", "before": None if said[0] == said[1] else said[0],
                   "after": None if said[0] == said[1] else said[1]}  # fmt: skip


def _changed(stage: str | None, what: str, before: Any, after: Any) -> Iterator[dict[str, Any]]:
    if before != after:
        yield {"stage": stage, "what": what, "before": before, "after": after}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
