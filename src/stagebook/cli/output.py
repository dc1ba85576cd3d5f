"""How a command answers: lines in the style that fits where they go, or one JSON document. Never both.

A reader that has gone (`| head -1`) is no reason to end otherwise than the command would have ended.
"""

from __future__ import annotations

import sys

from stagebook.model.problem import SurroundingsError
from stagebook.report.style import Style, choose

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
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
    """One document, one line. Only ASCII goes out, so that no locale can break it, and no surrogate without its other
    half, which is no character: the byte that one stands for is said as `\\xff`, as in texts for people."""
    import json

    text = json.dumps(document)
    if "\\ud" in text:
        import re

        text = re.sub(r"\\ud[89ab]..\\ud[c-f]..|\\(?:ud[89a-f]..|.)", _sound, text)
    _write(sys.stdout, text + "\n")


def _sound(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) != 6 or not found.startswith("\\ud"):
        return found
    return f"\\\\x{found[4:]}" if "dc80" <= found[2:] <= "dcff" else f"\\{found}"


def flush() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        pass  # it is told when the command ends


def _write(stream: IO[str], text: str) -> None:
    try:
        stream.write(text)
    except BrokenPipeError:
        from stagebook.cli.streams import give_up

        give_up(stream)


def write_file(path: str, text: str) -> None:
    """Put `text` into a file that a user named. Raises SurroundingsError with path and cause."""
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise SurroundingsError(f"cannot write {path}: {error.strerror}") from None
