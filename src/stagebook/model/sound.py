"""Whether the values of a pipeline are of the types that its classes say: asked of one that was read from a record,
which somebody else may have written. What they mean together is not looked at.
"""

from __future__ import annotations

from functools import cache

from stagebook.model import job
from stagebook.model import pipeline as classes
from stagebook.model.problem import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, TypeAlias

    from stagebook.model.pipeline import Pipeline

    Judge: TypeAlias = "Callable[[Any], bool]"

LIMIT = 1 << 53  #: no whole number is as large: each below is whole in JSON everywhere
_PLAIN: dict[str, Judge] = {
    "str": lambda value: type(value) is str,
    "bool": lambda value: type(value) is bool,
    "int": lambda value: type(value) is int and -LIMIT < value < LIMIT,
    "float": lambda value: type(value) in (int, float) and -LIMIT < value < LIMIT,
    "None": lambda value: value is None,
    "Any": lambda value: True,
}


def is_sound(pipeline: Pipeline) -> bool:
    return _judge("Pipeline")(pipeline)


def are_sound(stages: Iterable[classes.Stage]) -> bool:
    return all(map(_judge("Stage"), stages))


@cache
def _judge(said: str) -> Judge:
    """What tells whether a value is as an annotation says."""
    if said in _PLAIN:
        return _PLAIN[said]
    if " | " in said:
        some = [_judge(part) for part in said.split(" | ")]
        return lambda value: any(judge(value) for judge in some)
    if said.startswith("tuple["):
        each = _judge(said[len("tuple[") : -len(", ...]")])
        return lambda value: type(value) is tuple and all(map(each, value))
    if said.startswith("Mapping["):
        each = _judge(said[len("Mapping[str, ") : -1])
        return lambda value: type(value) is dict and all(type(key) is str for key in value) and all(
            map(each, value.values())
        )  # fmt: skip
    kind = Problem if said == "Problem" else getattr(classes, said, None) or getattr(job, said)
    fields = [_judge(kind.__annotations__[name]) for name in kind._fields]
    return lambda value: type(value) is kind and all(judge(each) for judge, each in zip(fields, value))
