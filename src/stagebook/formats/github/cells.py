"""`strategy` of a job to cells, as far as its expressions are known when the file is read. The rules of a matrix are
in `matrix`."""

from __future__ import annotations

from stagebook.formats.github import matrix
from stagebook.formats.github.expression import UNKNOWN, ExpressionError, fill
from stagebook.formats.github.expression.value import has_unknown
from stagebook.formats.github.matrix import Cell, TooMany
from stagebook.formats.github.values import value_of
from stagebook.formats.source.nodes import MAP
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.formats.github.shape import Walk
    from stagebook.formats.source.nodes import Node


class Strategy(NamedTuple):
    """`cells` None: the job has no matrix. `is_open`: it has one that is known only at run time; then there is one cell
    without values."""

    cells: tuple[Cell, ...] | None = None
    is_open: bool = False
    fail_fast: bool = True
    max_parallel: int | None = None


def strategy_of(walk: Walk, name_node: Node, body: Node, contexts: Mapping[str, Any]) -> Strategy:
    """What `strategy` says. A matrix that is too wide is a problem, and has no cells then."""
    node = body.get("strategy")
    if node is None:
        return Strategy()
    said = value_of(node)
    if isinstance(said, str):
        said = filled(said, contexts)
    if not isinstance(said, dict):
        return Strategy(is_open=True)
    fail_fast = filled(said.get("fail-fast"), contexts)
    most = filled(said.get("max-parallel"), contexts)
    made = Strategy(
        None,
        False,
        fail_fast if isinstance(fail_fast, bool) else str(fail_fast).lower() != "false",
        int(most) if isinstance(most, (int, float)) and not isinstance(most, bool) and 1 <= most < 1e6 else None,
    )
    if "matrix" not in said:
        return made
    place = (node.get("matrix") if node.kind == MAP else None) or node
    return _matrix(walk, place, said["matrix"], contexts, made)


def _matrix(walk: Walk, place: Node, said: Any, contexts: Mapping[str, Any], made: Strategy) -> Strategy:
    parts = _parts(said, contexts)
    if parts is None:
        return made._replace(is_open=True)
    try:
        found = matrix.cells(*parts)
    except TooMany as error:
        walk.problem(place, "limit", str(error))
        return made._replace(is_open=True)
    if not found:
        walk.problem(place, "empty", "no cell of the matrix is left, so that the job never runs", "warning")
    return made._replace(cells=tuple(found))


def opened(said: Any, contexts: Mapping[str, Any]) -> Strategy:
    """What a `strategy` that was open when it was read turns out to be, by all contexts. ValueError where it is no
    matrix then either."""
    said = filled(said, contexts)
    if not isinstance(said, dict):
        raise ValueError("strategy: a mapping is expected")
    parts = _parts(said.get("matrix"), contexts)
    if parts is None:
        raise ValueError("strategy: matrix: lists of values by name are expected")
    try:
        found = matrix.cells(*parts)
    except TooMany as error:
        raise ValueError(f"strategy: {error}") from None
    return Strategy(tuple(found), fail_fast=str(filled(said.get("fail-fast"), contexts)).lower() != "false")


def _parts(
    said: Any, contexts: Mapping[str, Any]
) -> tuple[dict[str, list[Any]], list[dict[str, Any]], list[dict[str, Any]]] | None:
    """Axes, what is included and what excluded; None where they are not known yet."""
    said = filled(said, contexts)
    if not isinstance(said, dict):
        return None
    axes: dict[str, list[Any]] = {}
    lists: dict[str, list[dict[str, Any]]] = {"include": [], "exclude": []}
    for key, value in said.items():
        value = filled(value, contexts)
        if not isinstance(value, list):
            return None
        items = [_deep(each, contexts) for each in value]
        if key in lists:
            if any(not isinstance(each, dict) for each in items):
                return None
            lists[key] = items
        else:
            axes[key] = items
    return axes, lists["include"], lists["exclude"]


def filled(value: Any, contexts: Mapping[str, Any]) -> Any:
    """The value of a text with expressions, of all else itself; UNKNOWN where it is not known yet or wrong."""
    if not isinstance(value, str) or "${{" not in value:
        return value
    try:
        found = fill(value, contexts)
    except ExpressionError:
        return UNKNOWN
    return UNKNOWN if has_unknown(found) else found


def _deep(value: Any, contexts: Mapping[str, Any], depth: int = 0) -> Any:
    """The same inside lists and mappings, where what is not known yet stays as it is written."""
    if depth > 50:
        return value
    if isinstance(value, dict):
        return {key: _deep(each, contexts, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_deep(each, contexts, depth + 1) for each in value]
    found = filled(value, contexts)
    return value if found is UNKNOWN else found
