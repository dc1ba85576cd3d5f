"""Which stages a change of files concerns, and which changes are a stage's own doing. Looks at no file, starts nothing.

Paths are of files, relative to the pipeline's folder. A pattern is a glob by segments: `*`, `?` and `[…]` within one,
`**` for any number of them; a path without any of these stands for all below it too.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from stagebook.graph.shape import order
from stagebook.model.pipeline import Pipeline
from stagebook.scheduler import select
from stagebook.scheduler.plan import Choice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Mapping

ADDED, MODIFIED, DELETED = 1, 2, 3  #: kinds of change: not there before; there before and after; there before only

#: In so many runs in a row a file must change to be taken as written by a stage. Twice may be a person who saves twice.
RUNS_IN_A_ROW = 3


class Pattern:
    """A glob of a stage; `folder` is the stage's own, from which it may be meant too."""

    def __init__(self, glob: str, folder: str | None = None) -> None:
        parts = [part for part in glob.split("/") if part not in ("", ".")]
        if parts and not set("*?[").intersection(parts[-1]):
            parts.append("**")
        self._ways = [parts]
        if folder is not None:
            self._ways.append([*[part for part in folder.split("/") if part not in ("", ".")], *parts])

    def meets(self, path: str) -> bool:
        return any(_meets(way, path.split("/")) for way in self._ways)


def _meets(pattern: list[str], path: list[str]) -> bool:
    if not path:
        return all(part == "**" for part in pattern)
    if not pattern:
        return False
    if pattern[0] == "**":
        return _meets(pattern[1:], path) or _meets(pattern, path[1:])
    return fnmatchcase(path[0], pattern[0]) and _meets(pattern[1:], path[1:])


class Concern:
    """What the stages of a pipeline read and write, and which of them a command line has picked."""

    def __init__(self, pipeline: Pipeline, choice: Choice) -> None:
        """Names that no stage has are left for the run to complain of: then every stage counts as picked."""
        self.pipeline = pipeline
        position = {stage.id: index for index, stage in enumerate(pipeline.stages)}
        needs = [tuple(position[need] for need in stage.needs) for stage in pipeline.stages]
        picked, problems = select.select(pipeline, choice, needs)
        self._picked = [bool(problems) or is_picked for is_picked in picked]
        self._needs = needs
        self._reads = [
            [*(Pattern(glob, stage.dir) for glob in stage.changed), *map(Pattern, stage.inputs)]
            for stage in pipeline.stages
        ]
        self._writes = [Pattern(output.path) for stage in pipeline.stages for output in stage.outputs]

    def is_output(self, path: str) -> bool:
        return any(pattern.meets(path) for pattern in self._writes)

    def is_input(self, path: str) -> bool:
        """Whether a stage names it, which a stage without patterns does not."""
        return any(pattern.meets(path) for patterns in self._reads for pattern in patterns)

    def stages(self, paths: Iterable[str]) -> list[str] | None:
        """The ids of the stages to run after changes of these files: those whose patterns meet one, those that have
        none, and all that need them. None: all that were picked."""
        paths = list(paths)
        hit = [
            not patterns or any(pattern.meets(path) for path in paths for pattern in patterns)
            for patterns in self._reads
        ]
        for index in order(self._needs):
            hit[index] = hit[index] or any(hit[need] for need in self._needs[index])
        found = [hit and picked for hit, picked in zip(hit, self._picked)]
        if found == self._picked:
            return None
        return [stage.id for stage, is_found in zip(self.pipeline.stages, found) if is_found]


class Own:
    """Learns what stages write without saying so, from the changes that come while they run.

    What is new then is taken for a stage's, unless a stage names it as its input. Anything else is taken for it once it
    changes during `RUNS_IN_A_ROW` runs in a row, as is all that is new in a folder in which something new comes during
    so many. What changes while nothing runs is nobody's own, and is forgotten here.
    """

    def __init__(self) -> None:
        self._streaks: dict[str, int] = {}
        self._known: set[str] = set()

    def foreign(self, during: Mapping[str, int], is_input: Callable[[str], bool]) -> tuple[list[str], list[str]]:
        """Of the changes (path: kind) during a run those that count, and what has been learned by their coming again:
        paths, or folders, with a `/` at the end, for all that is new in them."""
        self._known.update(path for path, kind in during.items() if kind == ADDED and not is_input(path))
        keys = {path: [path, *(_above(path) if kind == ADDED else ())] for path, kind in during.items()}
        keys = {path: found for path, found in keys.items() if not self._known.intersection(found)}
        changed = {key for found in keys.values() for key in found}
        self._streaks = {key: self._streaks.get(key, 0) + 1 for key in changed}
        again = [key for key, runs in self._streaks.items() if runs >= RUNS_IN_A_ROW]
        learned = [key for key in again if not any(key in _above(other) for other in again)]
        self._known.update(learned)
        for key in again:  # what lies above has been explained too
            del self._streaks[key]
        return [path for path, found in keys.items() if not self._known.intersection(found)], sorted(learned)

    def forget(self, paths: Iterable[str]) -> None:
        """These changed by other hands."""
        for path in paths:
            self._known.discard(path)
            self._streaks.pop(path, None)


def _above(path: str) -> list[str]:
    """The folders that a path is in, each with a `/` at its end; the pipeline's own is `./`."""
    if path == "./":
        return []
    parts = path.rstrip("/").split("/")[:-1]
    return ["./", *["/".join(parts[: count + 1]) + "/" for count in range(len(parts))]]
