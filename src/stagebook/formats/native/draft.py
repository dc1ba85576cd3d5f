"""A native file that is yet to be written: stages with plain values under the keys of the format, and what stands
beside them as comments. How it is written is `write`.
"""

from __future__ import annotations

from stagebook.formats.native.check import env_name
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping


class Lost(NamedTuple):
    """What a conversion could not carry over, or not as it was. `line`: in the file that it comes from; `grade` as in
    `model.job`; `stage`: of the draft, empty for the file as a whole."""

    line: int
    grade: str
    text: str
    stage: str = ""


class Work(NamedTuple):
    """What a job does, as a stage has it: shell text, and keys that only its system can tell. `lost` without stages."""

    run: str
    keys: Mapping[str, Any] = {}
    params: Mapping[str, str | None] = {}  #: that it speaks of, with their defaults
    lost: tuple[Lost, ...] = ()


class DraftStage(NamedTuple):
    """`keys` in order; `run`, where it has one, is one of them. `comments` stand before it."""

    name: str
    keys: Mapping[str, Any]
    comments: tuple[str, ...] = ()


class Draft(NamedTuple):
    """`head`: comments of the file. `keys`: those of the file but for `stages`."""

    head: tuple[str, ...]
    keys: Mapping[str, Any]
    stages: tuple[DraftStage, ...]


def variables(names: Iterable[str]) -> dict[str, str]:
    """Each with a name of its own for the environment: `x-y` and `x_y` are `X_Y` and `X_Y_2`."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        free, number = env_name(name), 1
        while free in taken:
            number += 1
            free = f"{env_name(name)}_{number}"
        taken.add(free)
        found[name] = free
    return found
