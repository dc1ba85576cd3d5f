"""Files that a workflow refers to: actions and workflows of its own repository, or of one whose checkout the user
names. Read once each, never outside these folders. What they mean is for `steps` and `calls`."""

from __future__ import annotations

import os

from stagebook.formats.native import cache
from stagebook.formats.native.nodes import shorten
from stagebook.formats.native.read import bytes_of
from stagebook.formats.source.nodes import LIST, MAP, Node, Source, read
from stagebook.model.problem import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

FILES_MAX = 300
_OWN = ("./", "$/", ".\\")
_ACTION_FILES = ("action.yml", "action.yaml")


class Files:
    """`hashes` are those of the files read, by path."""

    def __init__(self, root: str, includes: Mapping[str, str], first: str = "") -> None:
        self.root = os.path.realpath(root)
        self.first = os.path.realpath(first) if first else ""  #: the workflow that is read
        self.includes = includes
        self.hashes: dict[str, str] = {}
        self._sources: dict[str, Source | None] = {}
        self._actions: dict[str, tuple[Source, Node] | None] = {}

    def path_of(self, uses: str) -> tuple[str, str] | None:
        """The folder that holds the repository, and the path below it. None of one that is not here."""
        if uses.startswith(_OWN):
            return self.root, uses[2:].partition("@")[0].replace("\\", "/")
        name, _, ref = uses.partition("@")
        parts = name.split("/")
        project = "/".join(parts[:2])
        folder = self.includes.get(f"{project}@{ref}") or self.includes.get(project)
        return None if folder is None or len(parts) < 2 else (os.path.realpath(folder), "/".join(parts[2:]))

    def source(self, uses: str) -> Source | None:
        """The file that `uses` names; None where it is not here. InputError where it is no YAML."""
        found = self.path_of(uses)
        return None if found is None else self._read(*found)

    def _read(self, folder: str, below: str) -> Source | None:
        path = os.path.realpath(os.path.join(folder, below))
        if not path.startswith(folder.rstrip("/") + "/") or not os.path.isfile(path) or len(self.hashes) >= FILES_MAX:
            return None
        if path not in self._sources:
            data = bytes_of(path, path)
            self._sources[path] = None  # where it is no YAML it is not tried again
            self._sources[path] = read(data, path)
            self.hashes[path] = cache.digest(data)
        return self._sources[path]

    def action(self, uses: str) -> tuple[Source, Node] | None:
        """The file of an action, and its root; None where it is not here or not readable."""
        if uses not in self._actions:
            self._actions[uses] = None
            found = None if uses.startswith("docker://") else self.path_of(uses)
            for name in _ACTION_FILES if found is not None else ():
                assert found is not None
                try:
                    source = self._read(found[0], os.path.join(found[1], name))
                except InputError:
                    source = None
                if source is not None and source.documents:
                    self._actions[uses] = source, source.documents[0]
                    break
        return self._actions[uses]

    def inside(self, uses: str) -> list[Node] | None:
        """The steps of a composite action that is here; None of any other."""
        found = self.action(uses)
        if found is None:
            return None
        runs = found[1].get("runs")
        steps = runs.get("steps") if runs is not None else None
        return list(steps) if steps is not None and steps.kind == LIST else None

    def beside(self, source: Source) -> str | None:
        """A file as steps and data name it: None of the first one. Cut nowhere, as it is to be found again."""
        path = os.path.realpath(source.file)
        if path == self.first:
            return None
        return os.path.relpath(path, self.root) if path.startswith(self.root + "/") else path

    def inputs(self, uses: str) -> dict[str, str | None]:
        """The inputs that an action declares, with their defaults as text."""
        found = self.action(uses)
        node = found[1].get("inputs") if found is not None else None
        made: dict[str, str | None] = {}
        for name, _, body in node.items() if node is not None and node.kind == MAP else ():
            default = body.get("default") if body.kind == MAP else None
            made[name] = None if default is None else default.text
        return made

    def shown(self, path: str) -> str:
        """A path as it is told: from the root on where it lies there."""
        return shorten(os.path.relpath(path, self.root) if path.startswith(self.root + "/") else path)


def root_of(file: str) -> str:
    """The root of the repository that a workflow is of: the folder with `.git` around it, else that above
    `.github/workflows`, else its own."""
    folder = os.path.dirname(file)
    above = folder
    while True:
        if os.path.exists(os.path.join(above, ".git")):
            return above
        parent = os.path.dirname(above)
        if parent == above:
            break
        above = parent
    above = os.path.dirname(folder)
    if os.path.basename(folder) == "workflows" and os.path.basename(above) == ".github":
        return os.path.dirname(above)
    return folder
