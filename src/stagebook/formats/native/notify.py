"""The list `notify`: who is told of what. Sends nothing, and does not know which addresses there are: apprise does.

A variable that holds an address is a secret, declared or not, as addresses hold tokens.
"""

from __future__ import annotations

import os
import re

from stagebook.formats.native.check import RESERVED_ENV, Checker
from stagebook.formats.native.nodes import line_of, shorten
from stagebook.model.pipeline import Notify, Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from stagebook.formats.native.nodes import Node
    from stagebook.formats.native.stage import Setting
    from stagebook.model.pipeline import Stage

_VARIABLE = r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})"
_ADDRESS = r"([A-Za-z][A-Za-z0-9+.-]*)://\S+"
_PASSWORD = r"://[^/?\s@]*:[^/?\s@]+@"
_TOKEN = r"(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}"
_ELSEWHERE = 'take it from a variable, as to: "$ADDRESS"'


def read(
    check: Checker, node: Node, values: Any, stages: Sequence[Stage], setting: Setting
) -> tuple[Notify, ...]:  # fmt: skip
    """Who is told, each with a name of its own; what is wrong is noted. `values` is what `check` made of `node`."""
    items = [item for item in node[0] if type(item[0]) is dict] if type(node[0]) is list else []
    for entries, _, _ in items:
        _check(check, entries, setting)
    _check_names(check, [entries["name"][1] for entries, _, _ in items if "name" in entries])
    if type(values) is not list or len(values) != len(items):
        return ()  # what is wrong has been said
    told: list[Notify] = []
    for given, (entries, place, _) in zip(values, items):
        one = Notify(
            _plain(given.get("to", "")), tuple(given.get("command", ())), _several(given, "on") or Notify().on,
            given.get("name", ""), _several(given, "stages"), _several(given, "branches"),
            tuple(given.get("secrets", ())), line_of(place),
        )  # fmt: skip
        if one.stages and stages and not any(stage.generates or one.is_about(stage.id) for stage in stages):
            said = f"notify: no stage matches {', '.join(map(shorten, one.stages))}; nothing is told of any"
            check.warn(entries["stages"][0], "notify", said)
        told.append(one)
    return tuple(_named(told))


def _check(check: Checker, entries: Any, setting: Setting) -> None:
    if "to" in entries and type(entries["to"][1][0]) is str and entries["to"][1][0]:
        _check_address(check, entries["to"][1], setting)
    if "secrets" in entries and type(entries["secrets"][1][0]) is list:
        setting.known_secrets(check, "`notify`", entries["secrets"][1])
        if "to" in entries:
            check.error(entries["secrets"][0], "notify", "`secrets` are for a command; an address is given none")


def _check_names(check: Checker, nodes: Sequence[Node]) -> None:
    lines: dict[str, int] = {}
    for name, place, _ in nodes:
        if type(name) is not str:
            continue
        if name in lines:
            said = f"notify: '{shorten(name)}' is the name of another one, on line {lines[name]}"
            check.error(place, "notify", said)
        lines.setdefault(name, line_of(place))


def _several(given: Any, key: str) -> tuple[str, ...]:
    value = given.get(key, ())
    return (value,) if type(value) is str else tuple(dict.fromkeys(value))


def _plain(to: str) -> str:
    """`${NAME}` as `$NAME`."""
    variable = re.fullmatch(_VARIABLE, to)
    return to if variable is None else f"${variable[1] or variable[2]}"


def _check_address(check: Checker, node: Node, setting: Setting) -> None:
    text, place = str(node[0]), node[1]
    variable = re.fullmatch(_VARIABLE, text)
    if variable is not None:
        name = variable[1] or variable[2]
        if name in RESERVED_ENV or name.startswith("STAGEBOOK_"):
            check.error(place, "notify", f"to: {name} is set by Stagebook itself, and is no address")
        elif name in setting.variables:
            by = shorten(setting.variables[name])
            check.error(place, "notify", f"to: {name} is set by the parameter `{by}`, which the record keeps")
    elif "$" in text and re.search(_VARIABLE, text):
        check.error(place, "notify", "to: a variable holds the whole address, so it stands alone")
    elif not re.fullmatch(_ADDRESS, text):
        said = "an address as `mailto://…`, `slack://…` or `json://HOST/PATH` expected, or `$NAME` of a variable"
        check.error(place, "notify", f"to: {said}, not '{shorten(text)}'")
    elif "verify=no" in text.partition("?")[2]:
        check.error(place, "notify", "to: `verify=no`: whom a message goes to is always verified; leave it out")
    elif re.search(_PASSWORD, text):
        check.warn(place, "notify", f"to: a password stands here, and the record keeps this file; {_ELSEWHERE}")
    elif re.search(_TOKEN, text.partition("?")[0]):
        check.warn(place, "notify", f"to: is there a token? The record keeps this file; {_ELSEWHERE}")


def variables(told: Sequence[Notify], secrets: dict[str, Secret]) -> dict[str, Secret]:
    """The secrets of the file, with those that are the variables of addresses."""
    found = dict(secrets)
    for one in told:
        if one.variable is not None:
            found.setdefault(one.variable, Secret(one.variable, None, one.line))
    return found


def _named(told: Sequence[Notify]) -> list[Notify]:
    """Each with a name that says nothing an address should not: of its variable, its kind or its command."""
    made = []
    taken = {one.name for one in told}
    for one in told:
        if not one.name:
            base = one.variable or (os.path.basename(one.command[0]) if one.command else one.to.partition(":")[0])
            names = (base, *[f"{base} {number}" for number in range(2, len(told) + 2)])
            one = one._replace(name=next(name for name in names if name not in taken))
            taken.add(one.name)
        made.append(one)
    return made
