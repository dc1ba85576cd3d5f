"""What went wrong, said: as text on standard error or, with `--json`, as one document, with the exit code that fits.

A user's mistake and surroundings that gave way are told with their places. A defect of ours is one line; its
traceback goes to a file, since it helps us and nobody else.
"""

from __future__ import annotations

import errno
import os
import sys

from stagebook.cli.streams import complain, give_up
from stagebook.model.problem import DEFECT, DefectError, InputError, Problem, StagebookError, SurroundingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

#: What a system says that has no more of something to give: nobody's mistake, and no defect of ours.
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EAGAIN)


def explain(error: BaseException, words: list[str]) -> int:
    """Tell a user about `error`, in the way that the words of the command line ask for; gives the exit code."""
    as_json = "--json" in (words[: words.index("--")] if "--" in words else words)
    if isinstance(error, OSError) and error.errno in SCARCE:
        error = SurroundingsError(f"the system gave way: {error.strerror}")
    if isinstance(error, DefectError):
        text = f"{error}; details: {keep_details(error, words)}"
        return _say([Problem("", 0, 0, "defect", "error", text)], words, as_json, DEFECT)
    if isinstance(error, MemoryError) or (isinstance(error, ImportError) and "map segment" in str(error)):
        error = SurroundingsError("the system gave way: no memory is left")
    if not isinstance(error, StagebookError):
        text = f"Stagebook failed, your stages are safe; details: {keep_details(error, words)}"
        return _say([Problem("", 0, 0, "defect", "error", text)], words, as_json, DEFECT, text)
    found = error.problems
    if not found:
        code = {2: "input", 4: "surroundings"}.get(error.exit, "defect")
        found = (Problem("", 0, 0, code, "error", str(error)),)
    if not as_json and any(problem.file for problem in found):
        return _tell(found, words, error.exit)
    return _say(found, words, as_json, error.exit)


def _tell(found: Iterable[Problem], words: list[str], code: int) -> int:
    """All problems of a file on standard error, with the lines they are about, and the tally."""
    from stagebook.cli.output import style_for
    from stagebook.report import problems

    shown = [near(problem) for problem in found]
    lines = problems.render(shown, style_for(sys.stderr, words=words), source_line)
    tally = problems.tally(shown)
    complain("\n".join([*lines, "", f"{tally}, nothing was run"]) + "\n")
    return code


def _say(found: Iterable[Problem], words: list[str], as_json: bool, code: int, text: str = "") -> int:
    from stagebook.report import problems

    if as_json:
        import json

        try:
            sys.stdout.write(json.dumps({"errors": problems.document(found)}) + "\n")
            sys.stdout.flush()
        except OSError as error:
            give_up(sys.stdout)
            complain(f"error: standard output: {error.strerror}\n")
    elif text:
        complain(text + "\n")
    else:
        from stagebook.cli.output import style_for

        complain("\n".join(problems.render(found, style_for(sys.stderr, words=words))) + "\n")
    return code


def near(problem: Problem) -> Problem:
    """The same with its file as a user in this directory would write it."""
    return problem._replace(file=near_path(problem.file))


def near_path(path: str) -> str:
    if not os.path.isabs(path):
        return path
    try:
        here = os.path.relpath(path)
    except OSError:  # the directory we are in is gone
        return path
    return path if here.startswith("..") else here


def source_line(file: str, line: int) -> str | None:
    """Line `line` of `file`; None where it cannot be read. Very long files are read no further than that line."""
    try:
        with open(file, encoding="utf-8-sig", errors="surrogateescape") as lines:
            for number, text in enumerate(lines, 1):
                if number == line:
                    return _hidden(text)
    except (OSError, ValueError):
        pass
    return None


def unknown_command(word: str, known: list[str], later: Iterable[str]) -> InputError:
    """Of a word that is none of the `known` commands; those that come `later` are told apart."""
    from stagebook.cli.words import nearest, usage_error

    if word in later:
        return usage_error(f"'{word}' is not part of this version yet", "stagebook --help lists what is")
    if word.startswith("-"):
        return usage_error(f"unknown option '{word}'", "stagebook --help lists commands and options")
    near = nearest(word, known)
    if near:
        return usage_error(f"unknown command '{word}', did you mean '{near}'?")
    return usage_error(f"unknown command '{word}'", "stagebook --help lists all commands")


def keep_details(error: BaseException, words: list[str]) -> str:
    """Write the traceback where it can be found again; gives its path, or the error itself where nothing can be
    written."""
    import time
    import traceback

    from stagebook import __version__

    text = f"stagebook {__version__}, Python {sys.version}\n{words!r}\n\n" + "".join(traceback.format_exception(error))
    text = _hidden(text)
    name = f"defect-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
    state = os.environ.get("STAGEBOOK_DIR") or ".stagebook"
    for folder in (state, os.environ.get("TMPDIR") or "/tmp"):
        path = os.path.join(os.path.abspath(folder), name if folder == state else f"stagebook-{name}")
        try:
            with open(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", errors="backslashreplace"
            ) as out:
                out.write(text)
        except OSError:
            continue
        return path
    return _hidden(f"{type(error).__name__}: {error}")


def _hidden(text: str) -> str:
    """Without the secrets of this process's run, if it has any."""
    secrets = sys.modules.get("stagebook.engine.secrets")
    return text if secrets is None or secrets.known is None else str(secrets.known.text(text))
