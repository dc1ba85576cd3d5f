"""A matrix to its cells by GitHub's rules, and what a cell is called. No nodes, no needs."""

from __future__ import annotations

from collections import Counter
from itertools import product

from stagebook.formats.github.expression.value import is_equal, to_text
from stagebook.formats.native.matrix import label
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

CELLS_MAX = 256  #: of one matrix, as GitHub has it
PAIRS_MAX = 500_000  #: of cells and entries of `include` or `exclude` that are held against each other
LABEL_MAX = 80
BEGINNINGS_MAX = 8


class Cell(NamedTuple):
    """`values` are those that the `matrix` context has. `texts` name the cell: of its axes, or, for one that only
    `include` makes, of all it has; of these `label` has the first, as many as tell it from the others. `title` is what
    GitHub shows in parentheses after the job's name."""

    values: dict[str, Any]
    texts: dict[str, str]
    label: str
    title: str


class TooMany(Exception):
    """More cells than GitHub takes."""

    def __init__(self, count: int) -> None:
        super().__init__(f"the matrix has {count} cells; GitHub takes {CELLS_MAX} at most")


class TooLong(TooMany):
    """More entries of `include` or `exclude` than are held against the cells."""

    def __init__(self, key: str, entries: int, cells: int) -> None:
        Exception.__init__(self, f"`{key}` has {entries} entries for {cells} cells, more than are gone through here")


def cells(axes: dict[str, list[Any]], include: list[dict[str, Any]], exclude: list[dict[str, Any]]) -> list[Cell]:
    """All cells in GitHub's order: combinations of the axes, the last one fastest, then those that `include` adds.
    TooMany before any cost."""
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > 100 * CELLS_MAX or len(include) > 100 * CELLS_MAX:
        raise TooMany(max(count, len(include)))
    made = [dict(zip(axes, values)) for values in product(*axes.values())] if axes else []
    if len(made) * len(exclude) > PAIRS_MAX:
        raise TooLong("exclude", len(exclude), len(made))
    if exclude:
        made = [cell for cell in made if not any(_has(cell, each) for each in exclude)]
    if len(made) > CELLS_MAX:
        raise TooMany(len(made))
    if len(made) * len(include) > PAIRS_MAX:
        raise TooLong("include", len(include), len(made))
    original = [dict(cell) for cell in made]
    named = list(original)
    added: list[dict[str, Any]] = []
    for each in include:
        bound = {key: value for key, value in each.items() if key in axes}
        fits = [place for place, cell in enumerate(original) if all(same(cell.get(k), v) for k, v in bound.items())]
        for place in fits:
            made[place].update(each)
        if not fits:
            added.append(dict(each))
    if len(made) + len(added) > CELLS_MAX:
        raise TooMany(len(made) + len(added))
    return list(_named([*zip(made, named), *((each, each) for each in added)], len(made)))


def _named(found: list[tuple[dict[str, Any], dict[str, Any]]], axes: int) -> Iterator[Cell]:
    """`axes`: so many cells, the first, are combinations of axes, and are called by all of them."""
    texts = [{key: " ".join(leaves(value))[:LABEL_MAX] for key, value in named.items()} for _, named in found]
    taken: dict[str, int] = {}
    shared = Counter(begin for each in texts for begin in _beginnings(each))
    for place, (values, _) in enumerate(found):
        own = texts[place]
        text = label(own)
        if place >= axes:
            text = next((begin for begin in _beginnings(own) if shared[begin] == 1), text)
        taken[text] = taken.get(text, 0) + 1
        if taken[text] > 1:
            text = f"{text}#{taken[text]}"
        yield Cell(values, own, text, ", ".join(leaf for value in values.values() for leaf in leaves(value)))


def _beginnings(texts: dict[str, str]) -> Iterator[str]:
    """Labels of the first value, of the first two, and so on; of a few."""
    few = list(texts.items())[:BEGINNINGS_MAX]
    for many in range(1, len(few) + 1):
        yield label(dict(few[:many]))


def leaves(value: Any, depth: int = 0) -> list[str]:
    """The scalars in a value, in order, as texts."""
    if depth > 50:
        return []
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in leaves(each, depth + 1)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in leaves(each, depth + 1)]
    return [to_text(value)]


def _has(cell: dict[str, Any], part: dict[str, Any]) -> bool:
    return all(key in cell and contains(cell[key], value) for key, value in part.items())


def contains(value: Any, part: Any) -> bool:
    """Whether a value is `part`, or has all that it has: what `exclude` asks."""
    if isinstance(part, dict):
        return isinstance(value, dict) and all(
            key in value and contains(value[key], each) for key, each in part.items()
        )
    if isinstance(part, list):
        return (
            isinstance(value, list)
            and len(value) == len(part)
            and all(contains(have, want) for have, want in zip(value, part))
        )
    return same(value, part)


def same(one: Any, other: Any) -> bool:
    """Deep equality as expressions have it."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (dict, list)) or isinstance(other, (dict, list)):
        return False
    return bool(is_equal(one, other))
