"""Who reads what who makes: inputs against outputs, glob by glob. No files, no needs that a user declared.

A path without wildcards is also a folder for whatever leads through it by name: the output `dist` is read by
`dist/a.whl` and by `dist/*`, the input `dist` reads `dist/a.whl`; but nothing is guessed of what may lie in it, so
`**/*.whl` does not read it. Two globs meet if there is a path that both match.

Not every input is held against every output: a pair that meets agrees in how it begins, how it ends and how its last
name begins, up to the first wildcard, so each input is held against the fewest that one of these three leaves. What
is left grows with the pairs that meet, but for globs made to defy it, and these run into `WORK_MAX`.
"""

from __future__ import annotations

from bisect import bisect_left

from stagebook.model.globs import Globs, Meeting, is_path
from stagebook.model.pipeline import Output
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Sequence

#: Work spent on pairs of globs, in steps of less than a microsecond: some seconds in all.
WORK_MAX = 8_000_000
_PATH, _TWO_GLOBS, _LONG = 4, 24, 8


class TooManyLinksError(ValueError):
    """More than were allowed."""


class TooManyPairsError(ValueError):
    """More to compare than `WORK_MAX`."""


class Link(NamedTuple):
    """That a stage reads what another makes: by which of its inputs first, over which path, and whether all that it
    reads of it is announced early."""

    entry: int
    path: str
    early: bool


def links(
    inputs: Sequence[Sequence[str]], outputs: Sequence[Sequence[Output]], links_max: int
) -> list[dict[int, Link]]:
    """For each stage those that make what it reads, in the order of its inputs, then of stages. Nobody reads from
    itself."""
    made = _Outputs(outputs)
    found: list[dict[int, Link]] = []
    for stage, globs in enumerate(inputs):
        mine: dict[int, Link] = {}
        for entry, glob in enumerate(globs):
            for maker, (path, early) in made.read_by(glob).items():
                if maker == stage:
                    continue
                known = mine.get(maker)
                if known is None:
                    mine[maker] = Link(entry, path, early)
                elif known.early and not early:
                    mine[maker] = known._replace(early=False)
        links_max -= len(mine)
        if links_max < 0:
            raise TooManyLinksError
        found.append(mine)
    return found


def read_of(inputs: Sequence[str], outputs: Sequence[Output]) -> list[Output]:
    """Those of the outputs of one stage that another, with these inputs, reads."""
    made = _Outputs([[output] for output in outputs])
    found = {number for glob in inputs for number in made.read_by(glob)}
    return [outputs[number] for number in sorted(found)]


class _Outputs:
    """All outputs, numbered in order, ready for the question which of them an input reads."""

    def __init__(self, outputs: Sequence[Sequence[Output]]) -> None:
        self.owner = [stage for stage, each in enumerate(outputs) for _ in each]
        self.outputs = [output for each in outputs for output in each]
        texts = [output.path for output in self.outputs]
        self.begins = _Beginnings([_beginning(text) for text in texts], list(range(len(texts))))
        self.at: dict[str, list[int]] = {}
        for number, text in enumerate(texts):
            if is_path(text) and not text.endswith("/"):
                self.at.setdefault(text, []).append(number)
        paths = [number for each in self.at.values() for number in each]
        self.paths = _Narrow(texts, paths)
        self.globs = _Narrow(texts, sorted(set(range(len(texts))).difference(paths)))
        self.meeting = Meeting()
        self.ready: dict[int, Globs] = {}
        self.left = WORK_MAX
        self.known: dict[str, dict[int, tuple[str, bool]]] = {}

    def read_by(self, glob: str) -> dict[int, tuple[str, bool]]:
        """The stages that make what `glob` reads, in order, each with a path and whether all of it is early."""
        known = self.known.get(glob)
        if known is None:
            known = self.known[glob] = {}
            is_plain = is_path(glob) and not glob.endswith("/")
            for number in sorted(self._of_path(glob) if is_plain else self._of_glob(glob)):
                output = self.outputs[number]
                path = output.path if not is_plain or is_path(output.path) else glob
                before = known.get(self.owner[number])
                if before is None:
                    known[self.owner[number]] = (path, output.early)
                elif not output.early:
                    known[self.owner[number]] = (before[0], False)
        self._spend(len(known))
        return known

    def _of_path(self, path: str) -> set[int]:
        found = set(self.begins.within(path + "/"))
        for above in _upward(path):
            found.update(self.at.get(above, ()))
        for number in self.globs.near(path):
            self._spend(_PATH)
            if number not in self.ready:
                self.ready[number] = Globs([self.outputs[number].path])
            if self.ready[number].first([path]) is not None:
                found.add(number)
        return found

    def _of_glob(self, glob: str) -> set[int]:
        found: set[int] = set()
        for above in _upward(_folder(glob)):
            found.update(self.at.get(above, ()))
        held = Globs([glob])
        for number in self.paths.near(glob):
            self._spend(_PATH)
            if held.first([self.outputs[number].path]) is not None:
                found.add(number)
        for number in self.globs.near(glob):
            other = self.outputs[number].path
            self._spend(_TWO_GLOBS + len(glob) * len(other) // _LONG)
            if self.meeting.meet(glob, other):
                found.add(number)
        return found

    def _spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooManyPairsError


class _Narrow:
    """Globs among which those are found that may meet another."""

    def __init__(self, texts: Sequence[str], numbers: list[int]) -> None:
        keys = [_keys(texts[number]) for number in numbers]
        self.ways = [_Beginnings([each[way] for each in keys], numbers) for way in range(3)]

    def near(self, glob: str) -> Iterator[int]:
        spans = [way.alike(key) for way, key in zip(self.ways, _keys(glob))]
        fewest = min(range(3), key=lambda way: sum(high - low for low, high in spans[way]))
        for low, high in spans[fewest]:
            yield from self.ways[fewest].numbers[low:high]


class _Beginnings:
    """Numbers by a text, in order of the texts."""

    def __init__(self, keys: list[str], numbers: list[int]) -> None:
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self.keys = [keys[each] for each in order]
        self.numbers = [numbers[each] for each in order]
        self.lengths = sorted({len(key) for key in keys})
        self.spans: dict[str, tuple[int, int]] = {}
        for place, key in enumerate(self.keys):
            self.spans[key] = (self.spans[key][0] if key in self.spans else place, place + 1)

    def alike(self, key: str) -> list[tuple[int, int]]:
        """Where those stand that begin with `key`, or that it begins with."""
        found = [self._span(key)]
        for length in self.lengths:
            if length >= len(key):
                break
            span = self.spans.get(key[:length])
            if span is not None:
                found.append(span)
        return found

    def within(self, key: str) -> list[int]:
        low, high = self._span(key)
        return self.numbers[low:high]

    def _span(self, key: str) -> tuple[int, int]:
        low = bisect_left(self.keys, key)
        return low, bisect_left(self.keys, True, low, key=lambda each: not each.startswith(key))


def _keys(glob: str) -> tuple[str, str, str]:
    """How a glob begins; how it ends, backwards; how its last name begins. Up to the first wildcard each."""
    last = glob.rpartition("/")[2]
    return _beginning(glob), _beginning(glob[::-1], "*?]") if last else "", _beginning(last)


def _beginning(glob: str, wild: str = "*?[") -> str:
    """The text before the first wildcard."""
    ends = [at for at in map(glob.find, wild) if at >= 0]
    return glob[: min(ends)] if ends else glob


def _folder(glob: str) -> str:
    """The folder that a glob leads through by name."""
    return _beginning(glob).rpartition("/")[0]


def _upward(path: str) -> Iterator[str]:
    """The path itself and the folders above it."""
    while path:
        yield path
        path = path.rpartition("/")[0]
