"""How a command answers: lines in the style that fits where they go, or one JSON document. Never both.

A reader that has gone (`| head -1`) is no reason to end otherwise than the command would have ended.
"""

from __future__ import annotations

import sys

from stagebook.model.problem import SurroundingsError
from stagebook.report.style import Style, choose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Iterable, Sequence


def style_for(stream: IO[str], args: Any = None, words: Sequence[str] = ()) -> Style:
    """The style for `stream` as options and settings ask; where wrong words left no `args`, as `words` say."""
    if args is not None:
        return choose(stream, args.settings.color, args.ascii)
    color = "auto"
    for word, value in zip(words, [*words[1:], ""]):
        if word == "--color":
            color = value
        elif word.startswith("--color="):
            color = word[8:]
    return choose(stream, color, "--ascii" in words)


def say(lines: Iterable[str], stream: IO[str] | None = None) -> None:
    text = "\n".join(lines)
    _write(stream or sys.stdout, text + "\n" if text else "")


def say_json(document: Any) -> None:
    """One document, one line. Only ASCII goes out, so that no locale can break it."""
    import json

    _write(sys.stdout, json.dumps(document) + "\n")


def flush() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        pass  # it is told when the command ends


def _write(stream: IO[str], text: str) -> None:
    try:
        stream.write(text)
    except BrokenPipeError:
        from stagebook.cli.main import give_up

        give_up(stream)


def write_file(path: str, text: str) -> None:
    """Put `text` into a file that a user named. Raises SurroundingsError with path and cause."""
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise SurroundingsError(f"cannot write {path}: {error.strerror}") from None
