"""JUnit files: whether one can be written is seen before a run, and it is written after it. What stands in one is the
report's."""

from __future__ import annotations

import errno
import os

from stagebook.cli.excerpt import Excerpts
from stagebook.model.problem import SurroundingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

    from stagebook.report.export.junit import Tail

LINES_MAX = 100  #: of an attempt's output


def begin(path: str) -> None:
    """Empty the file, so that nobody takes an earlier run's for this one's, and make the folders above it. Raises
    InputError or SurroundingsError where that is not possible."""
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path, "wb"):
            pass
    except OSError as error:
        text = f"cannot write {path}: {error.strerror}"
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
            from stagebook.cli.words import usage_error

            raise usage_error(f"--junit {text}", "nothing was run") from None
        raise SurroundingsError(f"--junit {text}; nothing was run") from None


def write(path: str, document: dict[str, Any], path_of: Callable[[str, int], str | None]) -> None:
    """Raises SurroundingsError with path and cause; what stands there then is no whole XML."""
    from stagebook.report.export import junit

    text: Iterable[str] = junit.render(document, tail=tail(path_of))
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)  # a stage may have removed them
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.writelines(text)
    except OSError as error:
        raise SurroundingsError(f"cannot write {path}: {error.strerror}") from None


def tail(path_of: Callable[[str, int], str | None]) -> Tail:
    excerpts = Excerpts(path_of)
    return lambda stage, attempt: [line for _, line in excerpts.tail(stage, attempt, LINES_MAX)]
