"""A matrix to its cells, by the rules that GitHub's matrix follows for `exclude` and `include`, and what its variables
stand for in a path. No stages, no needs."""

from __future__ import annotations

import re
from itertools import product

from stagebook.formats.native import grammar
from stagebook.formats.native.check import Checker, env_name
from stagebook.formats.native.nodes import Node, is_nameable, shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Cell = dict[str, str]

#: As a shell reads a variable: up to the first character that is of no name.
_VARIABLE = re.compile(r"\$(?:\{(MATRIX_[^}/]*)\}|(MATRIX_[A-Za-z0-9_]+))")


class Cells:
    """The cells of one matrix with the values that go into their ids (an original cell's axes only)."""

    __slots__ = ("cells", "labels", "max_parallel", "fail_fast")

    def __init__(self, cells: list[Cell], labels: list[str], options: dict[str, Any]) -> None:
        self.cells = cells
        self.labels = labels
        self.max_parallel: int | None = options.get("max-parallel")
        self.fail_fast: bool = options.get("fail-fast", True)


def read_matrix(check: Checker, place: int, node: Node, values: dict[str, Any]) -> Cells | None:
    """The cells of a matrix whose shape is sound: `values` is what `check` made of `node`. None where it has none."""
    before = len(check.errors) + check.unsaid
    options = {key: value for key, value in values.items() if key in grammar.MATRIX_KEYS}
    axes: dict[str, list[str]] = {key: value for key, value in values.items() if key not in grammar.MATRIX_KEYS}
    count = 1
    for name, axis in axes.items():
        count *= len(axis)
        if len(set(axis)) != len(axis):
            check.error(node[0][name][0], "duplicate-value", f"matrix: `{shorten(name)}` holds a value twice")
    include, exclude = options.get("include") or [], options.get("exclude") or []
    if count > grammar.STAGES_MAX or count * (len(include) + len(exclude)) > 20 * grammar.STAGES_MAX:
        check.error(
            place, "limit", f"matrix: {count} cells; a pipeline has at most {grammar.STAGES_MAX} stages, the limit"
        )
        return None
    _clashes(check, place, [*axes, *(key for each in include for key in each)])
    for item in node[0]["exclude"][1][0] if exclude else ():
        for name, (name_place, _) in item[0].items():
            if name not in axes:
                check.error(name_place, "unknown-axis", f"matrix: exclude names `{shorten(name)}`, which is no axis")
    if len(check.errors) + check.unsaid > before:
        return None
    return _expand(check, place, axes, include, exclude, options)


def _expand(
    check: Checker,
    place: int,
    axes: dict[str, list[str]],
    include: list[Cell],
    exclude: list[Cell],
    options: dict[str, Any],
) -> Cells | None:
    names = list(axes)
    original = [dict(zip(names, values)) for values in product(*axes.values())] if axes else []
    if exclude:
        original = [cell for cell in original if not any(_fits(cell, each) for each in exclude)]
    cells = [dict(cell) for cell in original]
    labels = [label(cell) for cell in original]
    for each in include:
        bound = {key: value for key, value in each.items() if key in axes}
        matched = False
        for base, cell in zip(original, cells):
            if _fits(base, bound):
                cell.update(each)
                matched = True
        if not matched:
            cells.append(dict(each))
            labels.append(label(each))
    if not cells or not all(cells):
        check.error(
            place,
            "empty",
            "matrix: no cell is left" if axes else 'matrix: needs an axis, as in `python: ["3.11", "3.13"]`',
        )
        return None
    if len(set(labels)) < len(labels):
        twice = next(each for index, each in enumerate(labels) if each in labels[:index])
        check.error(place, "duplicate-name", f"matrix: cell [{shorten(twice)}] appears twice")
        return None
    return Cells(cells, labels, options)


def label(cell: Cell) -> str:
    """`python=3.11,os=linux`; characters that an id cannot hold are percent-encoded."""
    return ",".join(f"{name}={_safe(value)}" for name, value in cell.items())


def has_variable(text: str) -> bool:
    return _VARIABLE.search(text) is not None


def in_cells(check: Checker, text: str, cells: Cells) -> tuple[list[str], str | None]:
    """A path as each cell has it, and why it cannot be. What stands for a value is never a wildcard or a folder."""
    made = []
    for cell, cell_label in zip(cells.cells, cells.labels):
        variables = {"MATRIX_" + env_name(axis): value for axis, value in cell.items()}
        names = []
        for name in text.split("/"):
            given, end = "", 0
            for found in _VARIABLE.finditer(name):
                variable = found[1] or found[2]
                if variable not in variables:
                    unset = f"{shorten(found[0])} is not set in cell [{shorten(cell_label)}]"
                    return [], f"'{shorten(text)}': {_unknown(check, found[0], variable, cells) or unset}"
                value = variables[variable]
                if "/" in value or value in (".", ".."):
                    said = f"'{shorten(text)}': {shorten(found[0])} is '{shorten(value)}' in cell"
                    return [], f"{said} [{shorten(cell_label)}], which is no part of a file's name"
                given += name[end : found.start()] + re.sub(r"[*?[]", r"[\g<0>]", value)
                end = found.end()
            given += name[end:]
            if given != name and given in ("", ".", ".."):
                return [], f"'{shorten(text)}': '{shorten(name)}' is '{given}' in cell [{shorten(cell_label)}], no name"
            names.append(given)
        made.append("/".join(names))
    return made, None


def _unknown(check: Checker, written: str, variable: str, cells: Cells) -> str | None:
    """That no cell has such a variable."""
    known = dict.fromkeys("MATRIX_" + env_name(axis) for cell in cells.cells for axis in cell)
    if variable in known:
        return None
    for each in known:
        if written.startswith(f"${each}_"):
            near = f", did you mean '${{{each}}}{shorten(written[len(each) + 1 :])}'?"
            break
    else:
        near = check.nearest(f"${variable}", [f"${each}" for each in known])
    return f"unknown variable '{shorten(written)}'{near}"


def _safe(value: str) -> str:
    if "[" not in value and "]" not in value and is_nameable(value):
        return value
    kept = [c if c not in "[]" and is_nameable(c) else None for c in value]
    return "".join(c or "".join(f"%{byte:02X}" for byte in value[at].encode()) for at, c in enumerate(kept))


def _fits(cell: Cell, part: Cell) -> bool:
    return all(cell.get(key) == value for key, value in part.items())


def _clashes(check: Checker, place: int, names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        variable = "MATRIX_" + env_name(name)
        other = seen.setdefault(variable, name)
        if other != name:
            check.error(
                place,
                "env-clash",
                f"matrix: `{shorten(other)}` and `{shorten(name)}` are both {variable} in the environment",
            )
