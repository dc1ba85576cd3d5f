"""Artifacts of one run: files that a job leaves under a name and others fetch. They lie in the run's folder."""

from __future__ import annotations

import os
import shutil

from stagebook.model.value import NamedTuple
from stagebook.record import state
from stagebook.runner import matching
from stagebook.runner.copying import Copier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

_NAME = "name"
_FILES = "files"


class Put(NamedTuple):
    """What was kept. `barren`: globs that name nothing; `notes`: what was left out."""

    files: int
    size_bytes: int
    barren: list[str]
    notes: list[str]


class Artifacts:
    """The store of a run, by the run's folder."""

    def __init__(self, directory: str, kind: str = "artifacts") -> None:
        """`kind` is the name of the store's folder: each has names of its own."""
        self._folder = os.path.join(directory, kind)

    def names(self) -> list[str]:
        """Of all that there are, in order."""
        try:
            entries = sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return []
        found = []
        for entry in entries:
            try:
                with open(os.path.join(self._folder, entry, _NAME), encoding="utf-8", errors="surrogateescape") as file:
                    found.append(file.read())
            except (FileNotFoundError, NotADirectoryError):
                continue  # half made by a job that was killed
        return found

    def has(self, name: str) -> bool:
        return os.path.isfile(os.path.join(self._entry(name), _NAME))

    def put(
        self, name: str, root: str, globs: list[str], exclude: list[str] | None = None,
        linked: Mapping[str, str] | None = None,
    ) -> Put:  # fmt: skip
        """Keep files of `root` under a name, in place of what was kept under it before; nothing is kept where globs
        name nothing. `linked`: files beside these, by their paths from `root` on, and where their content is. Raises
        OSError."""
        names, barren = matching.find(root, globs, exclude, folders=True)
        entry = self._entry(name)
        fresh = f"{entry}.new{os.getpid()}"
        shutil.rmtree(fresh, ignore_errors=True)
        if not names and not linked:
            return Put(0, 0, barren, [])
        os.makedirs(os.path.join(fresh, _FILES), 0o700)
        copier = Copier(root, os.path.join(fresh, _FILES))
        for each in names:
            copier.take(each)
        for each, origin in (linked or {}).items():
            copier.follow(each, origin)
        with open(os.path.join(fresh, _NAME), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(name)
        self.remove(name)
        os.rename(fresh, entry)
        return Put(copier.count, copier.size_bytes, barren, copier.notes)

    def get(self, name: str, into: str) -> int:
        """Copy what is kept under a name into a folder, over what is there; how many files. Raises OSError, KeyError
        where there is none of that name."""
        if not self.has(name):
            raise KeyError(name)
        files = os.path.join(self._entry(name), _FILES)
        os.makedirs(into, exist_ok=True)
        copier = Copier(files, into)
        for each in matching.find(files, ["."], folders=True)[0]:
            copier.take(each)
        return copier.count

    def files(self, name: str) -> str:
        """The folder in which they lie, to be read only."""
        return os.path.join(self._entry(name), _FILES)

    def remove(self, name: str) -> None:
        shutil.rmtree(self._entry(name), ignore_errors=True)

    def _entry(self, name: str) -> str:
        return os.path.join(self._folder, state.log_stem(name) or "%")
