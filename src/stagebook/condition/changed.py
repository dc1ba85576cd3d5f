"""Globs of `changed` against paths. No git here, and no files.

As `glob.translate(recursive=True, include_hidden=True)` of newer Pythons has it: `*`, `?` and `[…]` stay within one
name, `**` alone between slashes is any number of folders (at the end: whatever lies below), upper and lower case
differ, and a leading dot is nothing special. A slash at the end is short for `/**`; a path without any wildcard is that
file, or whatever lies below that folder. A walk goes back to the last `**`
only, so no glob takes long. Files outside the pipeline's folder begin with `../`, which no wildcard stands for.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

GLOB_MAX = 4096


def refusal(glob: str) -> str | None:
    """Why a glob can match nothing, or would not do what it seems to say; None where it is sound."""
    if not glob.strip("/"):
        return "a glob is empty" if not glob else "'/' is no glob; write ** for everything"
    if len(glob) > GLOB_MAX:
        return f"a glob has {len(glob)} characters, the limit is {GLOB_MAX}"
    if glob.startswith("/"):
        return f"'{glob[:60]}' begins with a slash; globs begin at the pipeline's folder"
    if glob.startswith("!"):
        return f"'{glob[:60]}': a glob cannot take files out; name those that count"
    if "\\" in glob:
        return f"'{glob[:60]}' has a backslash; folders are set apart by /"
    return None


class Globs:
    """Several globs, ready to be held against many paths."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._globs = [_segments(form) for glob in globs for form in _forms(glob)]

    def first(self, paths: Iterable[str]) -> str | None:
        """The first of the paths that one of the globs matches."""
        for path in paths:
            parts = path.split("/")
            if any(_match(segments, parts) for segments in self._globs):
                return path
        return None


def _forms(glob: str) -> tuple[str, ...]:
    is_path = not any(character in glob for character in "*?[")
    return (glob, glob + "/") if is_path and not glob.endswith("/") else (glob,)


def _segments(glob: str) -> list[Any]:
    """Patterns of names; None stands for `**`."""
    parts = [part for part in glob.split("/") if part not in ("", ".")]
    if glob.endswith("/"):
        parts.append("**")
    made: list[Any] = []
    for part in parts:
        if part != "**":
            made.append(_name(part))
        elif not made or made[-1] is not None:
            made.append(None)
    return made


def _name(glob: str) -> Any:
    if not any(character in glob for character in "*?["):
        return glob
    import fnmatch  # its pattern is atomic from `*` to `*`: linear, but for a factor of the glob's length

    matches = re.compile(fnmatch.translate(glob)).match
    return lambda name: name != ".." and matches(name)


def _match(segments: list[Any], parts: list[str]) -> bool:
    at, place, star, resume = 0, 0, -1, 0
    while place < len(parts):
        segment = segments[at] if at < len(segments) else ""
        if at < len(segments) and segment is None:
            if at == len(segments) - 1:
                return parts[place] != ".."
            star, resume = at, place
            at += 1
        elif at < len(segments) and (segment == parts[place] if isinstance(segment, str) else segment(parts[place])):
            at, place = at + 1, place + 1
        elif star >= 0 and parts[resume] != "..":
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return at == len(segments)
