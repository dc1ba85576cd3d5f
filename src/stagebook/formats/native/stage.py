"""One stage's mapping or short text to a draft: its values as the model has them. No order, no other stages."""

from __future__ import annotations

import re
from typing import Any, Mapping

from stagebook.formats.native import grammar
from stagebook.formats.native.check import BAD, Checker, env_name, found
from stagebook.formats.native.matrix import Cells, read_matrix
from stagebook.formats.native.nodes import Node, shorten
from stagebook.model.pipeline import Resources, Retry, Timeouts

_KINDS = frozenset(grammar.KINDS)
_MORE = frozenset(key for key, spec in grammar.STAGE_KEYS.items() if not spec.built)
_deploys = re.compile(r"(^|[^a-z])(deploy|deployment|release|publish|promote|rollout|upload)([^a-z]|$)", re.IGNORECASE)

#: Values shared by stages that say the same; most do, and a hundred thousand equal tuples would be most of the memory.
Shared = dict[Any, Any]

_NO_RETRY, _NO_TIMEOUTS, _NO_RESOURCES = Retry(), Timeouts(), Resources()
_NOTHING: Mapping[str, Any] = {}


class Draft:
    """A stage before its needs and cells are known. `own_needs` is None where the user wrote none.

    `implied` are the drafts that its place in a list makes it wait for, `group_needs` what its groups say.
    `first` and `count` are its stages in the flat list.
    """

    __slots__ = (
        "name", "place", "kind", "command", "fields", "env", "more", "own_needs", "implied", "group_needs", "group",
        "cells", "first", "count", "demand_place",
    )  # fmt: skip

    def __init__(self, name: str, place: int) -> None:
        self.name = name
        self.place = place
        self.kind = "run"
        self.command: str | tuple[str, ...] = ""
        self.fields: Mapping[str, Any] = _NOTHING
        self.env: Mapping[str, str] = _NOTHING
        self.more: Mapping[str, Any] = _NOTHING
        self.own_needs: list[tuple[str, int]] | None = None
        self.implied: list[Draft] = []
        self.group_needs: list[tuple[str, int]] = []
        self.group: str | None = None
        self.cells: Cells | None = None
        self.first = 0
        self.count = 1
        self.demand_place = 0


class Defaults:
    """The keys of `defaults`, checked. Told once, so that stages do not repeat what is wrong with them."""

    __slots__ = ("values", "env", "more_env")

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.env, self.more_env = split_env(values.get("env", {}))


def split_env(env: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Texts, and the values that come from elsewhere."""
    texts = {name: value for name, value in env.items() if type(value) is str}
    if len(texts) == len(env):
        return texts, {}
    return texts, {name: value for name, value in env.items() if name not in texts}


def read_stage(check: Checker, name: str, place: int, node: Node, defaults: Defaults, shared: Shared) -> Draft | None:
    """None where the stage has no usable command; what is wrong has been noted."""
    draft = Draft(name, place)
    if type(node[0]) is str:
        if not node[0]:
            check.error(node[1] if node[2] else place, "empty", f"stage `{shorten(name)}` is empty; write a command")
            return None
        command = check.text(node, "command", name)
        if command is BAD:
            return None
        draft.command = command
        values: dict[str, Any] = {}
        _deploy_mark(check, draft, defaults.values)
    elif type(node[0]) is dict:
        check.subject = f"stage `{shorten(name)}`"
        values = check.keys(node, grammar.STAGE_KEYS)
        if not _kind(check, draft, node, values):
            return None
        _needs(draft, node)
        if "matrix" in values:
            draft.cells = read_matrix(check, place, node[0]["matrix"][1])
            if draft.cells is not None:
                draft.count = len(draft.cells.cells)
                _matrix_env(check, draft, values, node)
        if "retry" in values and values.get("retry-safe") is False and values["retry"].get("attempts", 1) > 1:
            message = (
                f"stage `{shorten(name)}` is `retry-safe: false` and cannot have `retry` with more than one attempt"
            )
            check.error(node[0]["retry"][0], "retry-safe", message)
        if "retry-safe" not in values:
            _deploy_mark(check, draft, defaults.values)
        if "resources" in values:
            draft.demand_place = node[0]["resources"][0]
    else:
        check.error(node[1], "type", f"stage `{shorten(name)}`: a command or a mapping expected, not {found(node)}")
        return None
    _fill(draft, values, defaults, shared)
    return draft


def _kind(check: Checker, draft: Draft, node: Node, values: dict[str, Any]) -> bool:
    there = [key for key in node[0] if key in _KINDS]
    if not check.exactly_one(draft.place, there, grammar.KINDS, f"stage `{shorten(draft.name)}`"):
        return False
    kind = there[0]
    draft.kind = kind
    if kind not in values:
        return False
    command = values[kind]
    if kind == "run" or kind == "python":
        draft.command = command
    elif kind == "cmd":
        draft.command = tuple(each if type(each) is str else "" for each in command)
        if not draft.command or (type(command[0]) is str and not command[0]):
            check.error(node[0]["cmd"][0], "empty", "cmd: its first entry names the program and is empty")
            return False
    return True


def _needs(draft: Draft, node: Node) -> None:
    entry = node[0].get("needs")
    if entry is None:
        return
    needs = entry[1]
    if type(needs[0]) is str:
        draft.own_needs = [(needs[0], needs[1])] if needs[0] else []
    elif type(needs[0]) is list:
        draft.own_needs = [(each[0], each[1]) for each in needs[0] if type(each[0]) is str and each[0]]


def _matrix_env(check: Checker, draft: Draft, values: dict[str, Any], node: Node) -> None:
    """A variable that both `env` and the matrix set."""
    assert draft.cells is not None
    env = values.get("env", _NOTHING)
    if not env:
        return
    for axis in {axis for cell in draft.cells.cells for axis in cell}:
        variable = "MATRIX_" + env_name(axis)
        if variable in env:
            message = f"{shorten(variable)} is set by the matrix of stage `{shorten(draft.name)}`"
            check.error(node[0]["env"][0], "env-clash", message)


def _deploy_mark(check: Checker, draft: Draft, defaults: Mapping[str, Any]) -> None:
    if "retry-safe" not in defaults and _deploys.search(draft.name) and draft.kind in ("run", "cmd", "python"):
        hint = "say `retry-safe: false`, or true if it may run twice"
        message = f"stage `{shorten(draft.name)}` looks like a deployment; {hint}"
        check.warn(draft.place, "retry-safe", message)


def _fill(draft: Draft, values: dict[str, Any], defaults: Defaults, shared: Shared) -> None:
    """Defaults under the stage's own values, and both in the model's terms."""
    env, more_env = split_env(values["env"]) if "env" in values else (_NOTHING, _NOTHING)
    if defaults.values:
        if values.get("retry-safe", defaults.values.get("retry-safe")) is False and "retry" not in values:
            values["retry"] = {}
        values = {**defaults.values, **values}
        env = {**defaults.env, **env} if env else defaults.env
        more_env = {**defaults.more_env, **more_env}
    draft.env = env
    if not values:
        return
    draft.fields = values
    if "retry" in values:
        values["retry"] = _retry(values["retry"], shared)
    if "timeout" in values:
        values["timeout"] = _timeouts(values["timeout"], shared)
    if "resources" in values:
        values["resources"] = _resources(values["resources"], shared)
    more = {key: values[key] for key in values.keys() & _MORE} if not _MORE.isdisjoint(values) else {}
    if more_env:
        more["env"] = more_env
    if draft.kind == "cmd" and not all(type(each) is str for each in values["cmd"]):
        more["cmd"] = values["cmd"]
    if more:
        draft.more = dict(sorted(more.items()))


def _retry(value: Any, shared: Shared) -> Retry:
    if isinstance(value, Retry):
        return value
    only = value.get("only", ())
    retry = Retry(
        value.get("attempts", 1),
        value.get("backoff", 0),
        value.get("factor", 1.0),
        value.get("max"),
        value.get("jitter", 0.0),
        (only,) if type(only) is str else tuple(only),
    )
    made: Retry = shared.setdefault(retry, retry)
    return made


def _timeouts(value: Any, shared: Shared) -> Timeouts:
    if isinstance(value, Timeouts):
        return value
    if type(value) is dict:
        timeouts = Timeouts(value.get("attempt"), value.get("stage"), value.get("queue"))
    else:
        timeouts = Timeouts(value)
    made: Timeouts = shared.setdefault(("timeouts", timeouts), timeouts)
    return made


def _resources(value: Any, shared: Shared) -> Resources:
    if isinstance(value, Resources):
        return value
    pools = value.get("pools", _NOTHING)
    key = (value.get("cpu", 0), value.get("memory", 0), tuple(pools.items()))
    made: Resources = shared.setdefault(("resources", key), Resources(key[0], key[1], pools))
    return made
