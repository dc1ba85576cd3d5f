"""`inputs` and `outputs`: paths from the pipeline's folder on, and the needs that follow from them. Looks at no file.

Imported only for a pipeline that has them. Which output an input reads is `graph.artifacts`.
"""

from __future__ import annotations

import os

from stagebook.formats.native import grammar
from stagebook.formats.native.check import Checker
from stagebook.formats.native.nodes import Node, is_nameable, line_of, shorten
from stagebook.formats.native.stage import Draft
from stagebook.graph.artifacts import Link, TooManyLinksError, TooManyPairsError, links
from stagebook.model.globs import is_path, refusal
from stagebook.model.pipeline import Output, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

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
            output = _one(check, key, item, beginning)
            if output is not None:
                made.append(output)
                places.append(item[1])
        if key == "inputs":
            values[key] = tuple(output.path for output in made)
            draft.inputs = places
        else:
            values[key] = tuple(made)
            draft.outputs = places


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


def _one(check: Checker, key: str, item: Node, beginning: list[str]) -> Output | None:
    """An entry; None where it is wrong, which has been said here or when its shape was checked."""
    early = False
    if type(item[0]) is dict:
        early = "ready" in item[0] and item[0]["ready"][1][0] == "early"
        if "path" not in item[0]:
            return None
        item = item[0]["path"][1]
    text, place = item[0], item[1]
    if type(text) is not str or not text or text.isspace():
        return None
    why = refusal(text, "they begin at the stage's folder")
    if why is None and not is_nameable(text):
        why = f"'{shorten(text)}' holds control characters"
    path = ""
    if why is None:
        path, why = _joined(beginning, text)
    if why is None and early and not (is_path(path) and not path.endswith("/")):
        why = f"'{shorten(text)}' is `ready: early`, announced by its path: no wildcard, no slash at its end"
    if why is not None:
        check.error(place, "glob", f"{key}: {why}")
        return None
    return Output(path, early)


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
    """What follows for one draft. `links` are the drafts that make what it reads; `added` are the places in the flat
    list of those that it needs for nothing else."""

    __slots__ = ("added", "links")

    def __init__(self, links: Mapping[int, Link]) -> None:
        self.links = links
        self.added: set[int] = set()


def clashes(check: Checker, drafts: list[Draft]) -> None:
    """The same path as an output of two stages, of two cells, or twice of one stage."""
    seen: dict[str, tuple[Draft, int]] = {}
    for draft in drafts:
        for output, place in zip(draft.fields.get("outputs", ()), draft.outputs):
            path = output.path
            if not is_path(path) or path.endswith("/"):
                continue
            if draft.cells is not None and draft.count > 1:
                one, other = (f"`{shorten(f'{draft.name}[{label}]')}`" for label in draft.cells.labels[:2])
                hint = "put a variable of the matrix into its name and declare a glob"
                said = f"output '{shorten(path)}' would be written by both {one} and {other}; {hint}"
                check.error(place, "output-clash", said)
                continue
            first, first_place = seen.setdefault(path, (draft, place))
            if first is not draft:
                said = f"`{shorten(draft.name)}` and `{shorten(first.name)}`, there on line {line_of(first_place)}"
                check.error(place, "output-clash", f"output '{shorten(path)}' is declared by two stages, {said}")
            elif first_place != place:
                said = f"output '{shorten(path)}' of stage `{shorten(draft.name)}` is declared twice"
                check.error(place, "output-clash", said)


def add_needs(check: Checker, drafts: list[Draft], flat: list[dict[int, int]], room: int) -> dict[int, Reads]:
    """Adds to `flat`, as `expand` has it, what drafts need because they read it; by draft, for those that read."""
    clashes(check, drafts)
    if check.errors:
        return {}
    too_many = f"stages: more than {grammar.EDGES_MAX} needs in all, with those that follow from `inputs`, the limit"
    try:
        found = links(
            [draft.fields.get("inputs", ()) for draft in drafts],
            [draft.fields.get("outputs", ()) for draft in drafts],
            room,
        )
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
    for index, (draft, each) in enumerate(zip(drafts, found)):
        if not each:
            continue
        mine = reads[index] = Reads(each)
        needs = flat[index]
        before = len(needs)
        for maker, link in each.items():
            line = line_of(draft.inputs[link.entry])
            for at in range(drafts[maker].first, drafts[maker].first + drafts[maker].count):
                if at not in needs:
                    needs[at] = line
                    mine.added.add(at)
        room -= (len(needs) - before) * draft.count
        if room < 0:
            check.error(draft.place, "limit", too_many)
            return {}
    return reads


def tell(stages: tuple[Stage, ...], drafts: list[Draft], reads: Mapping[int, Reads]) -> tuple[Stage, ...]:
    """The stages with `via`, `declared` and `early`."""
    told = list(stages)
    for index, mine in reads.items():
        draft = drafts[index]
        paths: dict[str, str] = {}
        declared, early = [], []
        when = draft.fields.get("when")
        asks = when is not None and "stages" in when.text  # how they ended is known only then
        for maker, link in mine.links.items():
            for at in range(drafts[maker].first, drafts[maker].first + drafts[maker].count):
                paths[stages[at].id] = link.path
                if at not in mine.added:
                    declared.append(stages[at].id)
                elif link.early and not asks:
                    early.append(stages[at].id)
        for at in range(draft.first, draft.first + draft.count):
            told[at] = told[at]._replace(via=paths, declared=tuple(declared), early=tuple(early))
    return tuple(told)
