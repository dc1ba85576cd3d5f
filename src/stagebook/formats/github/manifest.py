"""The file of an action, `action.yml`, as values. Only what is read when a job runs; what a workflow's own keys mean is
elsewhere."""

from __future__ import annotations

import os

from stagebook.formats.github.values import value_of
from stagebook.formats.native import cache
from stagebook.formats.native.read import bytes_of
from stagebook.formats.source.nodes import LIST, MAP, read
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILES = ("action.yml", "action.yaml")


class Manifest(NamedTuple):
    """`using`: `composite`, `node20`, `docker`, … `steps` of a composite action, with `line`, as in `spec`. `inputs`
    and `outputs` by name, as the file has them."""

    file: str
    name: str
    using: str
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    steps: list[dict[str, Any]]
    digest: str  #: of the file's content


def manifest(folder: str) -> Manifest | None:
    """That of the action in a folder; None where there is none. InputError where it cannot be read."""
    path = next((each for name in FILES if os.path.isfile(each := os.path.join(folder, name))), None)
    if path is None:
        return None
    data = bytes_of(path, path)
    documents = read(data, path).documents
    root = documents[0] if documents else None
    runs = root.get("runs") if root is not None else None
    using = runs.get("using") if runs is not None else None
    found = runs.get("steps") if runs is not None else None
    steps = [
        {**value_of(each), "line": each.line}
        for each in (found if found is not None and found.kind == LIST else ())
        if each.kind == MAP
    ]
    name = root.get("name") if root is not None else None
    return Manifest(
        path, (name.text if name is not None else None) or os.path.basename(folder),
        (using.text if using is not None else None) or "", _tables(root, "inputs"), _tables(root, "outputs"), steps,
        cache.digest(data),
    )  # fmt: skip


def _tables(root: Any, key: str) -> dict[str, dict[str, Any]]:
    value = value_of(root.get(key)) if root is not None else None
    if not isinstance(value, dict):
        return {}
    return {str(name): each if isinstance(each, dict) else {} for name, each in value.items()}
