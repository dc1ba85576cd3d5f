"""JUnit files: whether one can be written is seen before a run, and it is written after it. What stands in one is the
report's."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from stagebook.cli.excerpt import Excerpts
from stagebook.model.problem import SurroundingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

    from stagebook.report.export.junit import Tail

LINES_MAX = 100  #: of an attempt's output


def begin(path: str) -> None:
    """See that it can be written, and make the folders above it; what stands there stays until the end. Raises
    InputError or SurroundingsError where that is not possible."""
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        if not _is_fifo(path):  # who reads one would take it for the end
            with _Written(path) as written:
                written.leave()
    except OSError as error:
        text = f"cannot write {path}: {error.strerror}"
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
            from stagebook.cli.words import usage_error

            raise usage_error(f"--junit {text}", "nothing was run") from None
        raise SurroundingsError(f"--junit {text}; nothing was run") from None


def write(path: str, document: dict[str, Any], path_of: Callable[[str, int], str | None]) -> None:
    """Replaces what stands there, whole or not at all. Raises SurroundingsError with path and cause."""
    from stagebook.report.export import junit

    text: Iterable[str] = junit.render(document, tail=tail(path_of))
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)  # a stage may have removed them
        with _Written(path) as written:
            written.file.writelines(text)
    except OSError as error:
        raise SurroundingsError(f"cannot write {path}: {error.strerror}") from None


class _Written:
    """A file that is written beside `path` and takes its place when all went well; no regular file, such as a device,
    is written as it is."""

    def __init__(self, path: str) -> None:
        self._end = os.path.realpath(path) if path else path
        self._draft = ""
        mode = None
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            pass
        if path and (mode is None or stat.S_ISREG(mode)):
            self._draft = f"{self._end}.{os.getpid()}.tmp"
        fd = os.open(self._draft or path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self.file = open(fd, "w", encoding="utf-8", newline="")
        if self._draft and mode is not None:
            with suppress(OSError):
                os.fchmod(fd, stat.S_IMODE(mode))
        self._is_left = False

    def leave(self) -> None:
        """Do not take its place."""
        self._is_left = True

    def __enter__(self) -> _Written:
        return self

    def __exit__(self, kind: object, *trouble: object) -> None:
        try:
            self.file.close()
            if self._draft and kind is None and not self._is_left:
                os.replace(self._draft, self._end)
                self._draft = ""
        finally:
            if self._draft:
                with suppress(OSError):
                    os.unlink(self._draft)


def _is_fifo(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False


def tail(path_of: Callable[[str, int], str | None]) -> Tail:
    excerpts = Excerpts(path_of)
    return lambda stage, attempt: [line for _, line in excerpts.tail(stage, attempt, LINES_MAX)]
