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
_PASSWORD = r"://[^/\s@]*:[^/\s@]+@"
_TOKEN = r"(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}"
_ELSEWHERE = 'take it from a variable, as to: "$ADDRESS"'


def read(
    check: Checker, node: Node, values: Any, stages: Sequence[Stage], setting: Setting
) -> tuple[Notify, ...]:  # fmt: skip
    """Who is told, each with a name of its own; what is wrong is noted. `values` is what `check` made of `node`."""
    if type(values) is not list or len(values) != len(node[0]):
        return ()  # what is wrong has been said
    told: list[Notify] = []
    lines: dict[str, int] = {}
    for given, (entries, place, _) in zip(values, node[0]):
        to = _address(check, entries["to"][1], setting) if "to" in entries else ""
        if "secrets" in given:
            setting.known_secrets(check, "`notify`", entries["secrets"][1])
            if to:
                check.error(entries["secrets"][0], "notify", "`secrets` are for a command; an address is given none")
        one = Notify(
            to, tuple(given.get("command", ())), _several(given, "on") or Notify().on, given.get("name", ""),
            _several(given, "stages"), _several(given, "branches"), tuple(given.get("secrets", ())), line_of(place),
        )  # fmt: skip
        if one.name in lines:
            text = f"notify: '{shorten(one.name)}' is the name of another one, on line {lines[one.name]}"
            check.error(entries["name"][1][1], "notify", text)
        if one.stages and stages and not any(stage.generates or one.is_about(stage.id) for stage in stages):
            said = f"notify: no stage matches {', '.join(map(shorten, one.stages))}; nothing is told of any"
            check.warn(entries["stages"][0], "notify", said)
        if one.name:
            lines[one.name] = one.line
        told.append(one)
    return tuple(_named(told, set(lines)))


def _several(given: Any, key: str) -> tuple[str, ...]:
    value = given.get(key, ())
    return (value,) if type(value) is str else tuple(dict.fromkeys(value))


def _address(check: Checker, node: Node, setting: Setting) -> str:
    """An address, or `$NAME`, whose variable is a secret from now on."""
    text, place, _ = node
    variable = re.fullmatch(_VARIABLE, text)
    if variable is not None:
        name = variable[1] or variable[2]
        if name in RESERVED_ENV or name.startswith("STAGEBOOK_"):
            check.error(place, "notify", f"to: {name} is set by Stagebook itself, and is no address")
        elif name in setting.variables:
            by = shorten(setting.variables[name])
            check.error(place, "notify", f"to: {name} is set by the parameter `{by}`, which the record keeps")
        return f"${name}"
    if "$" in text and re.search(_VARIABLE, text):
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
    return text


def variables(told: Sequence[Notify], secrets: dict[str, Secret]) -> dict[str, Secret]:
    """The secrets of the file, with those that are the variables of addresses."""
    found = dict(secrets)
    for one in told:
        if one.variable is not None:
            found.setdefault(one.variable, Secret(one.variable, None, one.line))
    return found


def _named(told: Sequence[Notify], taken: set[str]) -> list[Notify]:
    """Each with a name that says nothing an address should not: of its variable, its kind or its command."""
    made = []
    for one in told:
        if not one.name:
            base = one.variable or (os.path.basename(one.command[0]) if one.command else one.to.partition(":")[0])
            name = next(name for name in (base, *[f"{base} {n}" for n in range(2, len(told) + 2)]) if name not in taken)
            taken.add(name)
            one = one._replace(name=name)
        made.append(one)
    return made
