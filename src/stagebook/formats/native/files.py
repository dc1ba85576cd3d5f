"""`inputs` and `outputs`: paths from the pipeline's folder on, and the needs that follow from them. Looks at no file.

Imported only for a pipeline that has them. Which output an input reads is `graph.artifacts`.
"""

from __future__ import annotations

import os

from stagebook.formats.native import grammar
from stagebook.formats.native.check import Checker, env_name
from stagebook.formats.native.matrix import Cells, has_variable, in_cells
from stagebook.formats.native.nodes import Node, is_nameable, line_of, shorten
from stagebook.formats.native.stage import Draft
from stagebook.graph.artifacts import Link, TooManyLinksError, TooManyPairsError, links
from stagebook.model.globs import is_path, refusal
from stagebook.model.pipeline import Output, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

#: What is Stagebook's, or git's, own is nobody's input or output.
_KEPT = frozenset([".stagebook", ".git"])


def read_files(check: Checker, draft: Draft, node: Node, values: dict[str, Any], folder: str | None) -> None:
    """Puts the stage's paths into `values`, and their places into `draft`. `folder` is the stage's `dir`."""
    beginning = _beginning(check, folder)
    for key in ("inputs", "outputs"):
        entry = node[0].get(key)
        if entry is None:
            continue
        if beginning is None:
            where = "a path begins there only if it lies in the pipeline's folder and has no wildcard in it"
            check.error(entry[0], "glob", f"{key}: `dir: {shorten(folder or '')}`: {where}")
            values.pop(key, None)
            continue
        made, places = [], []
        items = entry[1][0] if type(entry[1][0]) is list else [entry[1]]
        for item in items:
            outputs = _one(check, key, item, beginning, draft.cells)
            if outputs:
                made.append(outputs)
                places.append(item[1])
        if key == "inputs":
            values[key] = tuple(outputs[0].path for outputs in made)
            draft.inputs = places
        else:
            values[key] = tuple(outputs[0] for outputs in made)
            draft.outputs = places
        if any(len(outputs) > 1 for outputs in made):
            rows = [[outputs[index if len(outputs) > 1 else 0] for outputs in made] for index in range(draft.count)]
            of_cells = [tuple(each.path for each in row) if key == "inputs" else tuple(row) for row in rows]
            draft.of_cells = {**draft.of_cells, key: of_cells}


def _beginning(check: Checker, folder: str | None) -> list[str] | None:
    """The stage's folder, name by name, from the pipeline's on; None where paths cannot begin there."""
    if folder is None:
        return []
    if os.path.isabs(folder):
        own = os.path.dirname(check.file)
        folder = os.path.normpath(folder)
        folder = os.path.relpath(folder, own) if os.path.isabs(own) and f"{folder}/".startswith(f"{own}/") else folder
    if os.path.isabs(folder) or not is_path(folder) or "\\" in folder or not is_nameable(folder):
        return None
    return folder.split("/")


def _one(check: Checker, key: str, item: Node, beginning: list[str], cells: Cells | None) -> list[Output]:
    """An entry, or what it is in each cell; none where it is wrong, which has been said here or when its shape was
    checked."""
    early = False
    if type(item[0]) is dict:
        early = "ready" in item[0] and item[0]["ready"][1][0] == "early"
        if "path" not in item[0]:
            return []
        item = item[0]["path"][1]
    text, place = item[0], item[1]
    if type(text) is not str or not text or text.isspace():
        return []
    texts, why = [text], None
    if cells is not None and has_variable(text):
        texts, why = in_cells(check, text, cells)
    made = []
    for each in texts:
        path, why = _path(each, beginning, early)
        if why is not None:
            break
        made.append(Output(path, early))
    if why is not None:
        check.error(place, "glob", f"{key}: {why}")
        return []
    return made


def _path(text: str, beginning: list[str], early: bool) -> tuple[str, str | None]:
    """The glob from the pipeline's folder on, and why there is none."""
    why = refusal(text, "they begin at the stage's folder")
    if why is None and not is_nameable(text):
        why = f"'{shorten(text)}' holds control characters"
    path = ""
    if why is None:
        path, why = _joined(beginning, text)
    if why is None and early and not (is_path(path) and not path.endswith("/")):
        why = f"'{shorten(text)}' is `ready: early`, announced by its path: no wildcard, no slash at its end"
    return path, why


def _joined(beginning: list[str], text: str) -> tuple[str, str | None]:
    """The glob from the pipeline's folder on, without `.` and `..`; and why there is none."""
    names: list[str] = []
    for name in (*beginning, *text.split("/")):
        if name in ("", "."):
            continue
        if name != "..":
            names.append(name)
        elif not names:
            return "", f"'{shorten(text)}' leads out of the pipeline's folder"
        elif not is_path(names[-1]):
            return "", f"'{shorten(text)}' has `..` after a wildcard"
        else:
            names.pop()
    if not names:
        return "", f"'{shorten(text)}' is the pipeline's folder itself; write ** for everything"
    kept = [name for name in names if name.lower() in _KEPT]
    if kept:
        return "", f"'{shorten(text)}' leads into `{kept[0]}`, which is never an artifact"
    path = "/".join(names) + ("/" if text.endswith("/") and names[-1] != "**" else "")
    return path, refusal(path)


# Needs


class Reads:
    """What follows for one draft. `links` are the drafts that make what it reads; `cells` the stages that do, by their
    places in the flat list: once where all its cells read the same, else for each. `added` are the places of those
    that it needs for nothing else."""

    __slots__ = ("added", "cells", "links")

    def __init__(self, count: int) -> None:
        self.links: dict[int, Link] = {}
        self.cells: list[dict[int, Link]] = [{} for _ in range(count)]
        self.added: set[int] = set()

    def by_cell(self, needs: Mapping[int, int]) -> Iterator[dict[int, int]]:
        """Those of the needs of all its cells that each has."""
        shared = {at: line for at, line in needs.items() if at not in self.added}
        for makers in self.cells:
            yield {**shared, **{at: needs[at] for at in makers if at in self.added}}


def clashes(check: Checker, drafts: list[Draft]) -> None:
    """The same path as an output of two stages, of two cells, or twice of one stage."""
    seen: dict[str, tuple[Draft, int]] = {}
    for draft in drafts:
        is_many = draft.cells is not None and draft.count > 1
        told: set[int] = set()
        of_cell: dict[str, int] = {}
        for index, outputs in enumerate(
            draft.of_cells.get("outputs") or [draft.fields.get("outputs", ())] * draft.count
        ):
            for output, place in zip(outputs, draft.outputs):
                path = output.path
                if is_many and place not in told:
                    other = of_cell.setdefault(path, index)
                    if other != index:
                        told.add(place)
                        _cells_clash(check, draft, place, path, other, index)
                if place in told or not is_path(path) or path.endswith("/"):
                    continue
                first, first_place = seen.setdefault(path, (draft, place))
                if first is not draft:
                    told.add(place)
                    said = f"`{shorten(draft.name)}` and `{shorten(first.name)}`, there on line {line_of(first_place)}"
                    check.error(place, "output-clash", f"output '{shorten(path)}' is declared by two stages, {said}")
                elif first_place != place:
                    told.add(place)
                    said = f"output '{shorten(path)}' of stage `{shorten(draft.name)}` is declared twice"
                    check.error(place, "output-clash", said)


def _cells_clash(check: Checker, draft: Draft, place: int, path: str, one: int, other: int) -> None:
    assert draft.cells is not None
    cells, labels = draft.cells.cells, draft.cells.labels
    axes = dict.fromkeys([*cells[one], *cells[other]])
    axis = next((axis for axis in axes if cells[one].get(axis) != cells[other].get(axis)), next(iter(axes)))
    both = " and ".join(f"`{shorten(f'{draft.name}[{labels[index]}]')}`" for index in (one, other))
    hint = f"write $MATRIX_{env_name(axis)} into it"
    check.error(place, "output-clash", f"output '{shorten(path)}' would be written by both {both}; {hint}")


def _rows(drafts: list[Draft]) -> tuple[list[tuple[int, int | None]], list[Any], list[Any]]:
    """Who reads and makes what: drafts, or their cells where these differ. The draft, the cell, and both lists."""
    who: list[tuple[int, int | None]] = []
    inputs, outputs = [], []
    for at, draft in enumerate(drafts):
        if not draft.of_cells:
            who.append((at, None))
            inputs.append(draft.fields.get("inputs", ()))
            outputs.append(draft.fields.get("outputs", ()))
            continue
        for index in range(draft.count):
            fields = {**draft.fields, **{key: paths[index] for key, paths in draft.of_cells.items()}}
            who.append((at, index))
            inputs.append(fields.get("inputs", ()))
            outputs.append(fields.get("outputs", ()))
    return who, inputs, outputs


def add_needs(check: Checker, drafts: list[Draft], flat: list[dict[int, int]], room: int) -> dict[int, Reads]:
    """Adds to `flat`, as `expand` has it, what drafts need because they read it; by draft, for those that read."""
    clashes(check, drafts)
    if check.errors:
        return {}
    too_many = f"stages: more than {grammar.EDGES_MAX} needs in all, with those that follow from `inputs`, the limit"
    who, inputs, outputs = _rows(drafts)
    try:
        found = links(inputs, outputs, room)
    except TooManyLinksError:
        check.error(drafts[0].place, "limit", too_many)
        return {}
    except TooManyPairsError:
        hint = "globs that begin with a folder's name are told apart faster"
        check.error(
            drafts[0].place, "limit", f"stages: comparing all `inputs` with all `outputs` takes too long; {hint}"
        )
        return {}
    reads: dict[int, Reads] = {}
    for (at, cell), each in zip(who, found):
        each = {maker: link for maker, link in each.items() if who[maker][0] != at}
        if not each:
            continue
        draft, needs = drafts[at], flat[at]
        if at not in reads:
            reads[at] = Reads(1 if cell is None else draft.count)
        mine = reads[at]
        added = 0
        for maker, link in each.items():
            line = line_of(draft.inputs[link.entry])
            made_by, made_in = who[maker]
            mine.links.setdefault(made_by, link)
            first = drafts[made_by].first
            places = range(first, first + drafts[made_by].count) if made_in is None else (first + made_in,)
            for place in places:
                mine.cells[cell or 0][place] = link
                if place not in needs:
                    needs[place] = line
                    mine.added.add(place)
                added += place in mine.added
        room -= added * (draft.count if cell is None else 1)
        if room < 0:
            check.error(draft.place, "limit", too_many)
            return {}
    return reads


def tell(stages: tuple[Stage, ...], drafts: list[Draft], reads: Mapping[int, Reads]) -> tuple[Stage, ...]:
    """The stages with `via`, `declared` and `early`."""
    told = list(stages)
    for index, mine in reads.items():
        draft = drafts[index]
        when = draft.fields.get("when")
        asks = when is not None and "stages" in when.text  # how they ended is known only then
        for number, makers in enumerate(mine.cells):
            paths = {stages[at].id: link.path for at, link in makers.items()}
            declared = tuple(stages[at].id for at in makers if at not in mine.added)
            early = tuple(stages[at].id for at, link in makers.items() if at in mine.added and link.early and not asks)
            first = draft.first + number
            for at in range(first, first + (draft.count if len(mine.cells) == 1 else 1)):
                told[at] = told[at]._replace(via=paths, declared=declared, early=early)
    return tuple(told)
