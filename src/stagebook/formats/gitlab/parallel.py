"""A job that is there several times: `parallel: N` and `parallel:matrix`, and `needs:parallel:matrix`, which names some
of them. Names and ids of the cells; not what is in them.
"""

from __future__ import annotations

import re

from stagebook.formats.gitlab import scalars
from stagebook.formats.gitlab.reading import Reading
from stagebook.formats.gitlab.variables import expanded
from stagebook.formats.native.matrix import label
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

CELLS_MAX = 200
_expression = re.compile(r"\$\[\[\s*matrix\.([\w-]+)\s*\]\]")


class Cell(NamedTuple):
    """`title` is the name that GitLab gives it. `values` None: the job is there once. `number` counts from 1."""

    id: str
    title: str
    values: Mapping[str, str] | None = None
    number: int = 0
    total: int = 0

    @property
    def is_numbered(self) -> bool:
        """Of `parallel: N`."""
        return self.values is not None and list(self.values) == ["index"] and "/" in self.title


def cells(reading: Reading, name: str, id_: str, node: Node | None) -> list[Cell]:
    """The cells of a job by its `parallel`; one without values where it has none."""
    if node is None or node.is_null:
        return [Cell(id_, name)]
    if node.kind == SCALAR:
        text = node.text or ""
        if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= CELLS_MAX:
            said = f"job {shorten(name)}: `parallel: {shorten(text)}` must be between 1 and {CELLS_MAX}"
            reading.problem(node, "parallel", said)
            return [Cell(id_, name)]
        total = int(text)
        return [
            Cell(f"{id_}[index={at}]", f"{name} {at}/{total}", {"index": str(at)}, at, total)
            for at in range(1, total + 1)
        ]
    matrix = node.get("matrix")
    if matrix is None or matrix.kind != LIST or not matrix.value:
        said = f"job {shorten(name)}: `parallel` takes a number or `matrix`, a list"
        if matrix is not None and matrix.is_null:
            reading.absent(matrix, "parallel", f"{said} that is not empty")
        else:
            reading.problem(matrix or node, "parallel", said)
        return [Cell(id_, name)]
    return _of_matrix(reading, name, id_, matrix) or [Cell(id_, name)]


def _of_matrix(reading: Reading, name: str, id_: str, matrix: Node) -> list[Cell]:
    found: list[dict[str, str]] = []
    for entry in matrix:
        if entry.kind != MAP or not entry.value and not entry.merged:
            reading.problem(
                entry, "parallel", f"job {shorten(name)}: `matrix` is a list of mappings of names to values"
            )
            return []
        axes = [(axis, scalars.texts(value, reading)) for axis, _, value in entry.items()]
        size = 1
        for axis, values in axes:
            if not values:
                reading.problem(entry, "parallel", f"job {shorten(name)}: `matrix`: {shorten(axis)} has no value")
                return []
            size *= len(values)
        if len(found) + size > CELLS_MAX:
            said = f"job {shorten(name)}: `matrix` makes {len(found) + size} jobs at least, the limit is {CELLS_MAX}"
            reading.problem(matrix, "parallel", said)
            return []
        rows: list[dict[str, str]] = [{}]
        for axis, values in axes:
            rows = [{**row, axis: value} for row in rows for value in values]
        found += rows
    made: dict[str, Cell] = {}
    for at, row in enumerate(found, 1):
        title = f"{name}: [{', '.join(row.values())}]"
        if title in {each.title for each in made.values()}:
            reading.warn(matrix, "parallel", f"job {shorten(name)}: `matrix` has {shorten(title)} twice")
            continue
        cell_id = f"{id_}[{label(row)}]"
        made.setdefault(cell_id, Cell(cell_id, title, row, at, len(found)))
    return list(made.values())


def selected(
    reading: Reading, name: str, need: Node, own: Cell, others: list[Cell], values: Mapping[str, str]
) -> list[Cell]:
    """The cells that the `parallel:matrix` of a need names. `values`: variables of the job that has the need."""
    parallel = need.get("parallel")
    if parallel is None:
        return others
    matrix, job = parallel.get("matrix"), shorten(_text(need.get("job")))
    if matrix is None or matrix.kind != LIST:
        reading.problem(parallel, "needs", f"job {shorten(name)}: need {job}: `parallel` takes `matrix`, a list")
        return others
    if others[0].values is None or others[0].is_numbered:
        reading.problem(parallel, "needs", f"job {shorten(name)}: need {job} has no `parallel:matrix` to choose from")
        return []
    found: list[Cell] = []
    for entry in matrix:
        wanted = {}
        for axis, _, value in entry.items():
            wanted[axis] = {_resolved(reading, name, value, text, own, values) for text in scalars.texts(value)}
        matching = [
            cell for cell in others
            if all(axis in (cell.values or {}) and (cell.values or {})[axis] in wanted[axis] for axis in wanted)
        ]  # fmt: skip
        if not matching and (need.get("optional") is None or _text(need.get("optional")) != "true"):
            said = f"job {shorten(name)}: `needs:parallel:matrix` chooses none of the jobs of {job}"
            reading.problem(entry, "needs", said)
        found += [cell for cell in matching if cell not in found]
    return found


def _resolved(reading: Reading, name: str, node: Node, text: str, own: Cell, values: Mapping[str, str]) -> str:
    known = own.values if own.values is not None and not own.is_numbered else {}

    def value(found: re.Match[str]) -> str:
        if found[1] in known:
            return known[found[1]]
        said = f"job {shorten(name)}: `{shorten(found[0])}`: its own `parallel:matrix` has no {shorten(found[1])}"
        reading.problem(node, "needs", said)
        return found[0]

    text = _expression.sub(value, text)
    return expanded(text, {**values, **known}) if "$" in text and "$[[" not in text else text


def _text(node: Node | None) -> str:
    return (node.text if node is not None else None) or ""
