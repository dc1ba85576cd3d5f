"""What a glob means: which paths it matches, and whether two can match the same one. No files, no git.

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
    from typing import Any, Callable, Iterable, Sequence, TypeAlias

GLOB_MAX = 4096
_WILD = frozenset("*?[")
_LAST = 0x10FFFF

#: What one place of a name's pattern stands for: spans of characters. None stands for `*`.
Spans: TypeAlias = "tuple[tuple[int, int], ...]"


def refusal(glob: str, beginning: str = "globs begin at the pipeline's folder") -> str | None:
    """Why a glob can match nothing, or would not do what it seems to say; None where it is sound."""
    if not glob.strip("/"):
        return "a glob is empty" if not glob else "'/' is no glob; write ** for everything"
    if len(glob) > GLOB_MAX:
        return f"a glob has {len(glob)} characters, the limit is {GLOB_MAX}"
    if glob.startswith("/"):
        return f"'{glob[:60]}' begins with a slash; {beginning}"
    if glob.startswith("!"):
        return f"'{glob[:60]}': a glob cannot take files out; name those that count"
    if "\\" in glob:
        return f"'{glob[:60]}' has a backslash; folders are set apart by /"
    return None


def is_path(glob: str) -> bool:
    """Whether it has no wildcard: then it is that file, or whatever lies below that folder."""
    return _WILD.isdisjoint(glob)


class Globs:
    """Several globs, ready to be held against many paths."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._globs = [row for glob in globs for row in rows(glob)]

    def first(self, paths: Iterable[str]) -> str | None:
        """The first of the paths that one of the globs matches."""
        for path in paths:
            names = path.split("/")
            if any(_match(segments, names) for segments in self._globs):
                return path
        return None


def rows(glob: str) -> list[list[Any]]:
    """What names are held against, one after another: a text that is the name, a function that says whether it
    matches, or None for `**`. A path has two rows, for it may be a file or a folder."""
    forms = (glob, glob + "/") if is_path(glob) and not glob.endswith("/") else (glob,)
    return [[part if part is None else _name(part) for part in parts(form)] for form in forms]


def parts(glob: str) -> list[str | None]:
    """The patterns of names in a glob; None stands for `**`."""
    found = [part for part in glob.split("/") if part not in ("", ".")]
    if glob.endswith("/"):
        found.append("**")
    made: list[str | None] = []
    for part in found:
        if part != "**":
            made.append(part)
        elif not made or made[-1] is not None:
            made.append(None)
    return made


def _name(glob: str) -> Any:
    if is_path(glob):
        return glob
    import fnmatch  # its pattern is atomic from `*` to `*`: linear, but for a factor of the glob's length

    matches = re.compile(fnmatch.translate(glob)).match
    return lambda name: name != ".." and matches(name)


def _match(segments: list[Any], names: list[str]) -> bool:
    at, place, star, resume = 0, 0, -1, 0
    while place < len(names):
        segment = segments[at] if at < len(segments) else ""
        if at < len(segments) and segment is None:
            if at == len(segments) - 1:
                return names[place] != ".."
            star, resume = at, place
            at += 1
        elif at < len(segments) and (segment == names[place] if isinstance(segment, str) else segment(names[place])):
            at, place = at + 1, place + 1
        elif star >= 0 and names[resume] != "..":
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return at == len(segments)


# Two globs


class Meeting:
    """Says of pairs of globs whether there is a path that both match; a path without wildcards is only itself here.

    What has been found for two names is kept: most globs of a file share theirs.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], bool] = {}

    def meet(self, one: str, other: str) -> bool:
        return _walk(_stretched(one), _stretched(other), self._names, is_path)

    def _names(self, one: Any, other: Any) -> bool:
        if is_path(one) and is_path(other):
            return bool(one == other)
        known = self._known.get((one, other))
        if known is None:
            if len(self._known) > 100_000:
                self._known.clear()
            known = self._known[one, other] = _walk(_spans(one), _spans(other), _touch, _is_one)
        return known


def _stretched(glob: str) -> list[str | None]:
    """Its parts, where a `**` at the end, which stands for one name at least, follows on one."""
    found = parts(glob)
    return [*found[:-1], "*", None] if found and found[-1] is None else found


def _walk(
    one: Sequence[Any], other: Sequence[Any], touch: Callable[[Any, Any], bool], is_single: Callable[[Any], bool]
) -> bool:
    """Whether something follows both rows; None in a row stands for any number of steps, and not twice in a row.
    `touch` says whether a step can be both of two; one that `is_single` touches no other such but its equal.

    Where one can be in `other` is a number with a bit for each place, so that a step in `one` is a few operations.
    """
    rests, end = 0, 1 << len(other)
    equals: dict[Any, int] = {}
    wide = []
    for place, step in enumerate(other):
        if step is None:
            rests |= 1 << place
        elif is_single(step):
            equals[step] = equals.get(step, 0) | 1 << place
        else:
            wide.append((step, 1 << place))
    met: dict[Any, int] = {}
    at = 1 | (rests & 1) << 1
    for step in one:
        if step is None:
            at = (end << 1) - (at & -at)
            continue
        if step not in met:
            found = equals.get(step, 0)
            if not is_single(step):
                found = sum(bits for each, bits in equals.items() if touch(step, each))
            met[step] = found + sum(bit for each, bit in wide if touch(step, each))
        at = at & rests | (at & met[step]) << 1
        if not at:
            return False
        at |= (at & rests) << 1
    return bool(at & end)


def _touch(one: Any, other: Any) -> bool:
    return any(low <= high2 and low2 <= high for low, high in one for low2, high2 in other)


def _is_one(spans: Spans) -> bool:
    return len(spans) == 1 and spans[0][0] == spans[0][1]


def _spans(name: str) -> list[Spans | None]:
    """A name's pattern, place by place, as `fnmatch` reads it."""
    made: list[Spans | None] = []
    at = 0
    while at < len(name):
        character = name[at]
        at += 1
        if character == "*":
            if not made or made[-1] is not None:
                made.append(None)
        elif character == "?":
            made.append(((0, _LAST),))
        elif character == "[" and (end := _end_of_set(name, at)) >= 0:
            made.append(_set(name[at:end]))
            at = end + 1
        else:
            made.append(((ord(character), ord(character)),))
    return made


def _end_of_set(name: str, at: int) -> int:
    """Where the `]` of a set stands that begins at `at`; -1 if there is none, for then its `[` is only itself."""
    if name[at : at + 1] == "!":
        at += 1
    return name.find("]", at + 1)


def _set(held: str) -> Spans:
    is_other = held.startswith("!")
    held = held[1:] if is_other else held
    spans = []
    at = 0
    while at < len(held):
        if held[at + 1 : at + 2] == "-" and at + 2 < len(held):
            spans.append((ord(held[at]), ord(held[at + 2])))
            at += 3
        else:
            spans.append((ord(held[at]), ord(held[at])))
            at += 1
    if not is_other:
        return tuple((low, high) for low, high in spans if low <= high)
    between, last = [], -1
    for low, high in sorted(span for span in spans if span[0] <= span[1]):
        if low > last + 1:
            between.append((last + 1, low - 1))
        last = max(last, high)
    return (*between, *([(last + 1, _LAST)] if last < _LAST else []))
