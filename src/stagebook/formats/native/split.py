"""A suite in parts to its drafts: what lists it, and its shards as cells. Which test goes where: not known here."""

from __future__ import annotations

import copy

from stagebook.formats.native.check import Checker
from stagebook.formats.native.matrix import Cells
from stagebook.formats.native.nodes import Node, shorten
from stagebook.formats.native.stage import Draft
from stagebook.model.pipeline import Split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What is for the work of a shard; who lists the suite has none of it, and its list is never cut.
_OF_SHARDS = ("resources", "locks", "duration", "log-limit")


def parts_of(check: Checker, draft: Draft, node: Node) -> list[Draft]:
    """The drafts of a suite, in place of its own: one that lists it where a command does, and one for all shards."""
    entries = node[0]
    for key in ("matrix", "inputs", "outputs"):
        if key in entries:
            check.error(entries[key][0], "split", f"{check.subject}: a suite that is split has no `{key}`{_WHY[key]}")
    if "env" in entries and type(entries["env"][1][0]) is dict:
        if "MATRIX_SHARD" in entries["env"][1][0]:
            place = entries["env"][1][0]["MATRIX_SHARD"][0]
            check.error(place, "env-clash", f"{check.subject}: MATRIX_SHARD in `env` is set by its shards")
    given = draft.fields["split"]
    _inside(check, entries["split"][1][0], given)
    if _leaves(draft.fields.get("dir") or ""):
        place = entries["dir"][0] if "dir" in entries else draft.place
        check.error(
            place,
            "path",
            f"{check.subject}: its `dir` is not below the pipeline's folder, of which each shard gets a copy",
        )
    shards = given["shards"]
    numbers = [str(number) for number in range(1, shards + 1)]
    draft.cells = Cells([{"shard": each} for each in numbers], [f"shard={each}" for each in numbers], {})
    draft.count = shards
    if "list" not in given:
        return [draft]
    lists = copy.copy(draft)
    lists.cells, lists.count = Cells([{"shard": "list"}], ["shard=list"], {}), 1
    lists.command = given["list"]
    lists.fields = {key: value for key, value in draft.fields.items() if key not in _OF_SHARDS}
    lists.machine_locks = ()
    draft.listed_by = lists
    draft.own_needs, draft.group_needs, draft.implied = [], [], []  # its list has waited for all that
    draft.fields = {key: value for key, value in draft.fields.items() if key != "join"}
    return [lists, draft]


_WHY = {
    "matrix": ": its shards are its cells",
    "inputs": ": a shard's tests are another set in each run, so none of it is up to date",
    "outputs": ": what shards write stays in their workspaces, but for `report`",
}


def _inside(check: Checker, entries: Any, given: dict[str, Any]) -> None:
    """The report and the files lie below the stage's directory: that is what a workspace holds."""
    files = given.get("files", [])
    named = [("files", each) for each in ([files] if type(files) is str else files)]
    if "report" in given:
        named.append(("report", given["report"]))
    for key, path in named:
        if _leaves(path) or path.endswith("/"):
            check.error(entries[key][0], "path", f"{key}: '{shorten(path)}' is no file below the stage's directory")


def _leaves(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/")


def part_of(draft: Draft, index: int) -> Split:
    """What the stage at `index` of a draft's cells is in its suite."""
    assert draft.cells is not None
    given = draft.fields["split"]
    files = given.get("files", ())
    return Split(
        draft.name, draft.cells.cells[index]["shard"], given["shards"], given.get("report"),
        (files,) if type(files) is str else tuple(files), given.get("by") == "file",
    )  # fmt: skip
