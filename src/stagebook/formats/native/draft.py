"""A native file that is yet to be written: stages with plain values under the keys of the format, and what stands
beside them as comments. How it is written is `write`.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


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
