"""What is wrong with a matrix that is written out: values given twice, an `exclude` that fits nothing."""

from __future__ import annotations

from stagebook.formats.github.matrix import contains, same
from stagebook.formats.github.shape import Walk, nearest
from stagebook.formats.github.values import value_of
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import LIST, MAP, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COMPARED_MAX = 300


def check(walk: Walk, root: Node) -> None:
    jobs = root.get("jobs")
    for _, _, body in jobs.items() if jobs is not None else ():
        strategy = body.get("strategy")
        matrix = strategy.get("matrix") if strategy is not None else None
        if matrix is not None and matrix.kind == MAP:
            _matrix(walk, matrix)


def _matrix(walk: Walk, node: Node) -> None:
    axes: dict[str, list[Any] | None] = {}
    for name, _, value in node.items():
        if name not in ("include", "exclude"):
            axes[name] = _axis(walk, name, value)
    exclude = node.get("exclude")
    if exclude is None or exclude.kind != LIST or not all(each.kind == MAP for each in exclude):
        return
    if any(name == "${{ insert }}" for name in axes):
        return
    for item in exclude:
        for name, key, value in item.items():
            if name in axes:
                _fits(walk, name, value, axes[name])
            else:
                said = f"`exclude` names `{shorten(name)}`, which the matrix does not have{nearest(name, axes)}"
                walk.problem(key, "matrix", said)


def _axis(walk: Walk, name: str, node: Node) -> list[Any] | None:
    """The values; None where not all are known."""
    if node.kind != LIST:
        return None
    values = value_of(node)
    if not values:
        walk.problem(node, "empty", f"`{shorten(name)}` of the matrix has no values")
    for place, each in enumerate(node):
        if place < _COMPARED_MAX and any(same(values[place], before) for before in values[:place]):
            said = f"{_told(values[place])} stands twice in `{shorten(name)}`"
            walk.problem(each, "matrix", said, "warning")
    return None if _has_expression(values) else values


def _fits(walk: Walk, name: str, node: Node, values: list[Any] | None) -> None:
    wanted = value_of(node)
    if values is None or _has_expression(wanted):
        return
    if not any(contains(value, wanted) for value in values):
        known = ", ".join(_told(each) for each in values[:6])
        said = f"`exclude` fits nothing: `{shorten(name)}` is never {_told(wanted)}; it is {known}"
        walk.problem(node, "matrix", said, "warning")


def _has_expression(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_expression(each) for each in value.values())
    if isinstance(value, list):
        return any(_has_expression(each) for each in value)
    return isinstance(value, str) and "${{" in value


def _told(value: Any) -> str:
    from json import dumps

    return shorten(value if isinstance(value, str) else dumps(value, ensure_ascii=False, default=str))
