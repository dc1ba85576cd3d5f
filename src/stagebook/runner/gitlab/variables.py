"""The variables of one GitLab job: which there are, which of them is the strongest, what `$` in them means. GitLab's
own order, from the weakest on: predefined, of the file and the job, from dotenv reports, of the project.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Collection, Mapping

BYTES_MAX = 1 << 17  #: of one value: the system takes no more
_REFERENCE = re.compile(r"\$\$|\$\{(\w+)\}|\$(\w+)", re.ASCII)
_DEPTH_MAX = 200
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def merged(*tables: Mapping[str, str]) -> dict[str, str]:
    """The later tables are stronger. A value that speaks of its own name means the weaker one's."""
    found: dict[str, str] = {}
    for table in tables:
        for name, value in table.items():
            weaker = found.get(name, "")
            found[name] = _REFERENCE.sub(lambda at, name=name, weaker=weaker: _own(at, name, weaker), value)  # type: ignore[misc]
    return found


def _own(at: re.Match[str], name: str, weaker: str) -> str:
    return weaker if (at[1] or at[2]) == name else at[0]


def expanded(values: Mapping[str, str], raw: Collection[str] = ()) -> dict[str, str]:
    """All of them with what they speak of in its place; what is not there is empty. Those in `raw` are as they are."""
    known: dict[str, str] = {name: values[name] for name in raw if name in values}
    under_way: set[str] = set()

    def value(name: str) -> str:
        if name not in known:
            if name in under_way or len(under_way) > _DEPTH_MAX:
                return values[name]  # they speak of each other in a circle
            under_way.add(name)
            known[name] = _replaced(values[name], lambda other: value(other) if other in values else "")
            under_way.discard(name)
        return known[name]

    return {name: value(name) for name in values}


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with the values in the places of what it speaks of."""
    return _replaced(text, lambda name: values.get(name, ""))


def _replaced(text: str, value_of: Callable[[str], str]) -> str:
    parts, at, size = [], 0, 0
    for found in _REFERENCE.finditer(text):
        put = "$" if found[0] == "$$" else value_of(found[1] or found[2])
        parts += [text[at : found.start()], put]
        size += len(put)
        if size > BYTES_MAX:
            break
        at = found.end()
    return "".join([*parts, text[at:]])


def dotenv(text: str) -> dict[str, str]:
    """The variables of a dotenv report: lines NAME=VALUE, taken as they are. ValueError names a line that is none."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or _NAME.fullmatch(name.strip()) is None:
            raise ValueError(f"line {number}: NAME=VALUE expected")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name.strip()] = value
    return found
