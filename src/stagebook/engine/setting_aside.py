"""What of the stages of one run is noted before attempts and set aside after those without success: where in the run's
folder, with which good versions, and what is said of it. What is done with the files is `aside`, when `artifacts`.
"""

from __future__ import annotations

import os
from functools import partial

from stagebook.artifact.digest import File
from stagebook.artifact.store import Store
from stagebook.engine import aside
from stagebook.engine.aside import Found, Moved
from stagebook.engine.freshness import Freshness
from stagebook.engine.published import Published
from stagebook.model.pipeline import Stage
from stagebook.record import lock, set_aside
from stagebook.record.state import report_name, reports_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping

    from stagebook.engine.hasher import Failed
    from stagebook.record.mask import Mask


class SettingAside:
    """What is set aside in one run. Each method that says something returns it, as sentences to warn with."""

    mask: Mask | None = None  #: hides the secrets of the run in its copies

    def __init__(self, freshness: Freshness, published: Published, store: Store, run: str, directory: str) -> None:
        self._freshness = freshness
        self._published = published
        self._store = store
        self._run = run
        self._directory = directory

    def may_be_there(self, stage: Stage) -> bool:
        """Return whether anything can lie at the outputs of a stage."""
        return aside.may_be_there(self._freshness.root, stage)

    def look(self, index: int, stage: Stage) -> Found | None:
        """Return what lies at the outputs of a stage."""
        return aside.look(self._freshness.root, stage, self._last_published(index))

    def note(self, stage: Stage, number: int, found: Found | None) -> str | None:
        """Keep for a resume what was found before an attempt."""
        if found is None:
            return (
                f"{stage.id}: what lies at its outputs could not be noted, or is more than {aside.FOUND_MAX:,} files: "
                "should it fail, what it made stays where it is"
            )
        try:
            aside.keep(self._found_path(stage, number), found)
        except OSError as error:
            return f"{stage.id}: what lies at its outputs is not noted for a resume: {error.strerror}"
        return None

    def forget(self, stage: Stage, number: int) -> None:
        """Delete the note of an attempt."""
        aside.forget(self._found_path(stage, number))

    def clear_away(self, index: int, stage: Stage) -> list[str]:
        """Set aside what an attempt that nobody saw to its end has made: it must not pass for the next one's work."""
        torn = self._freshness.state.torn(stage.id)
        if torn is None:
            return []
        run, number = torn
        theirs = os.path.join(os.path.dirname(self._directory), run)
        path = set_aside.found_path(theirs, stage.id, number)
        found = aside.kept(path)
        if found is None or (run != self._run and lock.holder(theirs) is not None):
            return []  # its engine has done it or will, or nobody knows what lay there before: all of it stays
        self._published.catch_up()
        target = set_aside.folder(self._directory, stage.id, number, "" if run == self._run else run)
        moved = self._move_to(index, stage, found, target, None)
        aside.forget(path)
        return sentences(stage, number, moved)

    def move(self, index: int, stage: Stage, number: int, found: Found) -> Moved:
        """Set aside what an attempt has made."""
        target = set_aside.folder(self._directory, stage.id, number)
        return self._move_to(index, stage, found, target, self.reports(stage, number))

    def reports(self, stage: Stage, number: int) -> Callable[[int], str]:
        """Return where each of an attempt's whole JUnit reports is kept."""
        folder = reports_directory(self._directory)
        return lambda report: os.path.join(folder, report_name(stage.id, number, report))

    def _move_to(
        self, index: int, stage: Stage, found: Found, target: str, reports: Callable[[int], str] | None
    ) -> Moved:
        return aside.put_aside(
            self._freshness.root, stage, found, self._last_published(index), None if stage.secrets else self._store,
            partial(self._published.is_of_other, index), target, reports, self.mask,
        )  # fmt: skip

    def _found_path(self, stage: Stage, number: int) -> str:
        return set_aside.found_path(self._directory, stage.id, number)

    def _last_published(self, index: int) -> Mapping[str, File]:
        last = self._freshness.last(index)
        return {} if last is None else {file.path: file for file in last.outputs}


def answered(answer: Moved | Failed) -> Moved:
    """Return what a child answered."""
    if isinstance(answer, Moved):
        return answer
    return Moved(troubles=(f"what it left at its outputs lies there still: {answer}",))


def sentences(stage: Stage, number: int, moved: Moved) -> list[str]:
    """Return what became of what lay at the outputs before an attempt without success; what it made and is set aside
    is told at the end of the run."""
    parts = []
    if moved.changed:
        parts.append(f"of {_files(moved.changed)} that it changed a copy is set aside")
    if moved.restored:
        parts.append(f"{_files(moved.restored)} came back as published before")
    first = [f"{stage.id}, attempt {number}: {', '.join(parts)}"] if parts else []
    return [*first, *(f"{stage.id}: {text}" for text in moved.troubles)]


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"
