"""Names of jobs, as a system shows them, back to the stages of a pipeline file. Pure.

A name is a stage's where it is its title or id; else where it has the same values in another order, where its title
leaves something open that only a run knows (`${{ … }}`), where it was cut, and where it is one of the jobs that a stage
stands for whose jobs are only known in a run: those of a called workflow (`call / job`), of a matrix that is made in
the run, of `parallel`. The first rule that finds exactly one stage holds.
"""

from __future__ import annotations

import re

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.model.pipeline import Pipeline, Stage

_CUT = ("…", "...")
_CUT_FROM = 60  #: names that are shorter are not cut
_PART = re.compile(r"[0-9]{1,6}/[0-9]{1,6}")
_OPEN = re.compile(r"\$\{\{.*?\}\}|\$\[\[.*?\]\]|\$\{?[A-Za-z_]\w*\}?", re.DOTALL)


class Found(NamedTuple):
    """The stage that a name means, and whether the name is only one of several that it stands for."""

    stage: str
    is_part: bool


class Names:
    """The stages of a pipeline by the names that jobs of them have."""

    def __init__(self, pipeline: Pipeline | None) -> None:
        self._exact: dict[str, list[str]] = {}
        self._values: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        self._open: list[tuple[re.Pattern[str], str]] = []
        self._titles: list[tuple[str, str]] = []
        self._known: dict[tuple[str, int], Found | None] = {}
        for stage in pipeline.stages if pipeline is not None else ():
            if stage.kind != "gate":
                self._add(stage)

    def _add(self, stage: Stage) -> None:
        title = stage.job.title if stage.job is not None and stage.job.title else stage.id
        if stage.job is None and stage.cell:  # of a native file, which may have been made of one of that system
            title = f"{stage.name} ({', '.join(stage.cell.values())})"
        for name in dict.fromkeys((title, stage.id)):
            self._exact.setdefault(_plain(name), []).append(stage.id)
        for name in dict.fromkeys((title, stage.id, stage.name)):
            self._titles.append((_plain(name), stage.id))
        self._values.setdefault(_split(title), []).append(stage.id)
        if _OPEN.search(title):
            parts = [re.escape(part) for part in _OPEN.split(_plain(title))]
            if any(part.strip() for part in parts):
                self._open.append((re.compile(".*".join(parts), re.DOTALL), stage.id))

    def find(self, name: str, number: int = 0) -> Found | None:
        """The stage of a job; `number` counts earlier jobs of the same name in the same run."""
        if (name, number) not in self._known:
            self._known[name, number] = self._find(_plain(name), number)
        return self._known[name, number]

    def _find(self, name: str, number: int) -> Found | None:
        same = self._exact.get(name, [])
        if same:
            return Found(same[min(number, len(same) - 1)], number >= len(same))
        for found in (self._values.get(_split(name), []), self._fitting(name), self._cut(name)):
            if len(found) == 1:
                return Found(found[0], number > 0)
        above = name
        while True:
            above = _above(above)
            if not above:
                return None
            found = list(dict.fromkeys(self._exact.get(above, [])))
            if len(found) == 1:
                return Found(found[0], True)

    def _fitting(self, name: str) -> list[str]:
        return [stage for pattern, stage in self._open if pattern.fullmatch(name)]

    def _cut(self, name: str) -> list[str]:
        for mark in _CUT:
            if name.endswith(mark) and len(name) >= _CUT_FROM:
                begin = name.removesuffix(mark).rstrip()
                return list(dict.fromkeys(stage for title, stage in self._titles if title.startswith(begin)))
        return []


def _plain(name: str) -> str:
    return " ".join(name.split())


def _split(name: str) -> tuple[str, tuple[str, ...]]:
    """The name without its values, and these in order of the alphabet."""
    before, values = _parted(_plain(name))
    return before, tuple(sorted(each.strip() for each in values.split(","))) if values else ()


def _parted(name: str) -> tuple[str, str]:
    """What stands before and in the last brackets of `build (3.11, linux)`, `job: [a, b]`; of `job 1/3` both words."""
    for opens, closes in ("()", "[]"):
        if name.endswith(closes):
            depth = 0
            for at in range(len(name) - 1, -1, -1):
                depth += (name[at] == closes) - (name[at] == opens)
                if depth == 0:
                    return name[:at].rstrip().removesuffix(":" if opens == "[" else " ").rstrip(), name[at + 1 : -1]
    before, is_there, last = name.rpartition(" ")
    if is_there and _PART.fullmatch(last):
        return before.rstrip(), last
    return name, ""


def _above(name: str) -> str:
    """What a name is one of: of `call / job` `call`, of `build (3.11)` `build`, of `job 1/3` `job`. Empty: nothing."""
    before, values = _parted(name)
    return before if values else name.rpartition(" / ")[0].strip()
