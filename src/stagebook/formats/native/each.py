"""What works through items to the model's `Each`: where items come from, and the steps. Knows no other stage.

An `each` holds nothing by itself: its items do. So what is reserved, tried again or timed for an item stands at a step,
and what the file's `defaults` say of that goes to the steps that do not say it themselves.
"""

from __future__ import annotations

import json

from stagebook.formats.native.check import Checker
from stagebook.formats.native.nodes import Node, is_nameable, shorten
from stagebook.model.globs import refusal
from stagebook.model.pipeline import Each, Items, OutputOf, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.formats.native.stage import Draft, Setting

#: Keys of a stage that mean nothing beside `each`, and where that is said instead.
_ELSEWHERE: Mapping[str, str] = {
    "retry": "an item is tried again by the `retry` of a step",
    "resources": "it holds nothing by itself; what an item reserves are the `resources` of a step",
    "locks": "it holds nothing by itself; let a step take from a pool of size 1 in its `resources`",
    "inputs": "an item is up to date by what it is; name the files as `items: {glob: …}`",
    "outputs": "who needs what its steps make names it in `needs`",
    "duration": "how long it takes follows from its items",
}

#: What is set for every call.
RESERVED = frozenset(["ITEM", "ITEMS", "ITEM_DIR", "ITEM_DIRS", "ITEM_NUMBER"])

OF_STAGES = ("lines", "json")  #: kinds of sources that are what a stage has printed


def read_each(check: Checker, draft: Draft, node: Node, values: dict[str, Any], setting: Setting) -> Each | None:
    """None where something is wrong that has been noted. What is of steps in `values` is taken out of it."""
    entries, subject, before = node[0], check.subject, len(check.errors) + check.unsaid
    for key, why in _ELSEWHERE.items():
        if key in entries:
            check.error(entries[key][0], "each", f"{subject}: `{key}` means nothing beside `each`: {why}")
    given, inside = values["each"], entries["each"][1][0]
    items = _items(check, draft, given["items"], inside["items"][1][0], setting)
    steps = tuple(
        each
        for named, held in zip(given["steps"], inside["steps"][1][0])
        if (each := _step(check, draft, named, held, setting)) is not None
    )
    _distinct(check, inside["steps"][1][0], subject)
    if "until" in given["items"] and "watch" not in given["items"]:
        place = inside["items"][1][0]["until"][0]
        check.error(place, "each", f"{subject}: `until` ends a `watch`, and there is none")
    if items is None or len(check.errors) + check.unsaid > before:
        return None
    return Each(items, steps, given.get("on-item-failure", "stop"))


def _items(
    check: Checker, draft: Draft, given: Mapping[str, Any], entries: Any, setting: Setting
) -> Items | None:  # fmt: skip
    subject = check.subject
    kind = next(kind for kind in ("glob", "lines", "json", "range", "values", "param", "watch") if kind in given)
    value, place = given[kind], entries[kind][1][1]
    if kind == "range":
        if len(value) != 2:
            check.error(place, "each", f"{subject}: a range is its first and its last number, as `[1, 100]`")
            return None
        first, last = value
        if type(first) is not type(last):
            check.error(place, "each", f"{subject}: a range is of two numbers or of two dates, not of one each")
            return None
        if first > last:
            check.error(place, "each", f"{subject}: the range from {first} to {last} holds nothing")
            return None
        return Items("series", f"{first}..{last}") if type(first) is str else Items("range", "", first, last)
    if kind == "values":
        return Items(kind, json.dumps(value))
    if kind == "param":
        if value not in setting.variables.values():
            near = check.nearest(value, setting.variables.values())
            check.error(place, "each", f"{subject}: there is no parameter '{shorten(value)}'{near}")
            return None
        return Items(kind, value)
    if kind in OF_STAGES:
        draft.items_of = value, place
        return Items(kind, value)
    leaves = value.startswith("/") or ".." in value.split("/")
    why = "its files lie below the stage's directory" if leaves else refusal(value) if kind == "glob" else None
    if why is not None:
        check.error(place, "path", f"{subject}: {kind} '{shorten(value)}': {why}")
        return None
    until = given.get("until")
    if until is not None and ("/" in until or until in (".", "..")):
        place = entries["until"][1][1]
        check.error(place, "path", f"{subject}: until: '{shorten(until)}' is not the name of a file in the directory")
        return None
    return Items(kind, value.rstrip("/") if kind == "watch" else value, until=until)


def _step(check: Checker, draft: Draft, named: Any, node: Node, setting: Setting) -> Step | None:
    """One step of a list of mappings with one key each."""
    entries = node[0]
    if type(entries) is not dict or type(named) is not dict:
        return None
    if len(entries) != 1:
        check.error(node[1], "each", f"{check.subject}: an entry of `steps` holds one step, as `- fetch: COMMAND`")
        return None
    ((name, (place, held)),) = entries.items()
    if not is_nameable(name) or "[" in name or "]" in name or name.isspace():
        check.error(place, "name", f"{check.subject}: '{shorten(name)}' is no name for a step")
        return None
    if name not in named:
        return None
    given = {"run": named[name]} if type(named[name]) is str else named[name]
    subject, check.subject = check.subject, f"step `{shorten(f'{draft.name}.{name}')}`"
    try:
        return _whole(check, name, place, held, given, setting)
    finally:
        check.subject = subject


def _whole(
    check: Checker, name: str, place: int, node: Node, given: Mapping[str, Any], setting: Setting
) -> Step | None:  # fmt: skip
    from stagebook.formats.native.stage import made_resources, made_retry

    kind = next(kind for kind in ("run", "cmd", "python") if kind in given)
    entries = node[0] if type(node[0]) is dict else {}
    env = given.get("env", {})
    if "env" in entries:
        _env(check, entries["env"][1], env, setting)
    if "resources" in given:
        setting.demand(check, check.subject, entries["resources"][1], given["resources"])
    workers, most = given.get("workers", 1), given.get("workers-max")
    if workers == "auto":
        workers = 0
    if most is not None and workers != 0:
        check.error(entries["workers-max"][0], "each", f"{check.subject}: `workers-max` bounds `workers: auto` only")
    if kind == "python" and "worker" in given:
        why = "a Python function always has a process a slot that stays"
        check.error(entries["worker"][0], "each", f"{check.subject}: `worker` is for commands: {why}")
    defaults, shared = setting.defaults, setting.shared
    retry, resources = given.get("retry", defaults.get("retry")), given.get("resources", defaults.get("resources"))
    timeout = given.get("timeout", _attempt_ms(defaults.get("timeout")))
    command = given[kind]
    return Step(
        name, place >> 32, kind, command if type(command) is str else tuple(command), workers, most,
        given.get("buffer"), given.get("batch", 1), given.get("ordered", False), given.get("worker", False),
        Step._field_defaults["retry"] if retry is None else made_retry(retry, shared), timeout,
        Step._field_defaults["resources"] if resources is None else made_resources(resources, shared),
        {name: value for name, value in env.items() if type(value) is str},
    )  # fmt: skip


def _env(check: Checker, node: Node, env: Mapping[str, Any], setting: Setting) -> None:
    for name, value in env.items():
        place = node[0][name][0]
        if isinstance(value, (dict, OutputOf)):
            said = f"{check.subject}: {shorten(name)}: the output of a stage is taken in by the `env` of the stage"
            check.error(place, "each", f"{said}, for all its steps")
        if name in RESERVED:
            check.error(place, "name", f"{check.subject}: '{name}' is set for each item")
    setting.clash(check, check.subject, node, env)


def _attempt_ms(timeout: Any) -> int | None:
    if timeout is None or type(timeout) is int:
        return timeout
    return timeout.get("attempt") if type(timeout) is dict else timeout.attempt_ms


def _distinct(check: Checker, steps: Any, subject: str) -> None:
    seen: set[str] = set()
    for node in steps:
        for name, (place, _) in node[0].items() if type(node[0]) is dict else ():
            if name in seen:
                check.error(place, "duplicate-name", f"{subject}: two steps are called `{shorten(name)}`")
            seen.add(name)
