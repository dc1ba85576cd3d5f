"""Files copied from one folder to another: modes and times kept, links as links, nothing read or written through a link
that leads out of either folder. Which files: whoever asks says.
"""

from __future__ import annotations

import os
import shutil
import stat

NOTES_MAX = 10


def copy(names: list[str], source: str, target: str) -> list[str]:
    """Copy files, by their paths from `source` on, to `target`; folders among them are made. What was left out, and
    why. A file that is gone is left out without a word."""
    copier = Copier(source, target)
    for name in names:
        copier.take(name)
    return copier.notes


def copy_tree(source: str, target: str, skip: tuple[str, ...] = ()) -> list[str]:
    """Copy all that a folder holds, but for folders of the names in `skip`, wherever they lie."""
    copier = Copier(source, target)
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(each for each in folders if each not in skip)
        at = os.path.relpath(folder, source)
        for each in [*folders, *sorted(files)]:
            copier.take(each if at == "." else f"{at}/{each}")
    return copier.notes


class Copier:
    """One copy. `count` files, `size_bytes` so far."""

    def __init__(self, source: str, target: str) -> None:
        os.makedirs(target, exist_ok=True)
        self._source = os.path.realpath(source)
        self._target = os.path.realpath(target)
        self._sound: dict[str, bool] = {"": True}
        self.notes: list[str] = []
        self.count = 0
        self.size_bytes = 0

    def take(self, name: str) -> None:
        """One file, link or folder, by its path from the source on. Raises OSError where the target cannot be
        written."""
        above = os.path.dirname(name)
        if not self._is_sound(above):
            return
        origin, copied = os.path.join(self._source, name), os.path.join(self._target, name)
        try:
            found = os.lstat(origin)
        except OSError:
            return
        if stat.S_ISDIR(found.st_mode):
            self._folder(name, copied, found)
        elif stat.S_ISLNK(found.st_mode):
            self._link(name, origin, copied)
        elif stat.S_ISREG(found.st_mode):
            try:
                self._file(origin, copied)
            except PermissionError as error:
                self._left_out(name, error.strerror or "not allowed")
                return
            self.count += 1
            self.size_bytes += found.st_size
        else:
            self._left_out(name, "no file")

    def _is_sound(self, folder: str) -> bool:
        """Whether a folder may be written below the target, and is reached without a link on both sides."""
        known = self._sound.get(folder)
        if known is None:
            known = False
            if self._is_sound(os.path.dirname(folder)):
                there = os.path.join(self._source, folder)
                if os.path.islink(there) or not os.path.isdir(there):
                    self._left_out(folder, "is reached by a link")
                else:
                    self._folder(folder, os.path.join(self._target, folder), os.stat(there))
                    known = True
            self._sound[folder] = known
        return known

    def _folder(self, name: str, copied: str, found: os.stat_result) -> None:
        try:
            os.mkdir(copied)
        except FileExistsError:
            if os.path.islink(copied) or not os.path.isdir(copied):
                os.unlink(copied)
                os.mkdir(copied)
        os.chmod(copied, stat.S_IMODE(found.st_mode) & 0o1777 | 0o700)

    def _link(self, name: str, origin: str, copied: str) -> None:
        aim = os.readlink(origin)
        _clear(copied)
        os.symlink(aim, copied)
        self.count += 1

    def _file(self, origin: str, copied: str) -> None:
        _clear(copied)
        shutil.copy2(origin, copied, follow_symlinks=False)

    def _left_out(self, name: str, why: str) -> None:
        if len(self.notes) < NOTES_MAX:
            self.notes.append(f"left out {name}: {why}")


def _clear(path: str) -> None:
    """Whatever stands in the place of a file, so that no link is written through."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):
        shutil.rmtree(path)
