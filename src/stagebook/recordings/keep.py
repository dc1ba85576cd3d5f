"""Recorded runs in a state directory, each as a run of its own. Importing the same run again adds nothing; where it has
become another (more jobs are known of it, or the pipeline file has other stages), its journal is put in the old one's
place. What a journal says is not known here.
"""

from __future__ import annotations

import os

from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import runs, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.recordings.journal import Written

_MARK = 16  #: characters of an id that tell recorded runs apart, after those of time
_DRAFT = "journal.new"


class Kept(NamedTuple):
    run: str
    what: str  #: `added`, `renewed`, or `known`


class Keeper:
    """Puts runs into one state directory; it is made when the first one comes. Raises SurroundingsError."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._known = {run[-_MARK:]: run for run in runs.ids(directory)}

    def has(self, mark: str) -> str | None:
        """The id of the run of a mark, if it was imported before."""
        run = self._known.get(mark)
        if run is None or not os.path.exists(state.journal_path(state.run_directory(self.directory, run))):
            return None
        return run

    def put(self, written: Written) -> Kept:
        run = self.has(written.mark)
        if run == written.run:
            path = state.journal_path(state.run_directory(self.directory, run))
            try:
                with state.open_regular(path) as file:
                    if file.read(len(written.journal) + 1) == written.journal:
                        return Kept(run, "known")
            except OSError as error:
                raise SurroundingsError(f"cannot read {path}: {error.strerror}") from error
            self._write(state.run_directory(self.directory, run), written)
            return Kept(run, "renewed")
        directory = state.run_directory(self.directory, written.run)
        if not os.path.isdir(directory):
            try:
                directory = state.make_run(self.directory, written.run)
            except SurroundingsError:
                if not os.path.isdir(directory):  # another import was faster
                    raise
        self._write(directory, written)
        if run is not None:  # it began at another time than was known
            self._forget(run)
        self._known[written.mark] = written.run
        return Kept(written.run, "added" if run is None else "renewed")

    def _write(self, directory: str, written: Written) -> None:
        """The journal is there as a whole or not at all, and as old as what it tells."""
        draft, path = os.path.join(directory, f"{_DRAFT}.{os.getpid()}"), state.journal_path(directory)
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open(fd, "wb") as file:
                file.write(written.journal)
                file.flush()
                os.fsync(fd)
                os.utime(fd, ns=(written.finished_us * 1000, written.finished_us * 1000))
            os.replace(draft, path)
        except OSError as error:
            try:
                os.unlink(draft)
            except OSError:
                pass
            raise SurroundingsError(f"cannot write {path}: {error.strerror}") from error

    def _forget(self, run: str) -> None:
        from shutil import rmtree

        try:
            rmtree(state.run_directory(self.directory, run))
        except OSError as error:
            raise SurroundingsError(f"cannot remove run {run}: {error.strerror}") from error
