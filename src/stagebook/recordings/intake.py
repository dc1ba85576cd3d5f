"""Recorded runs on their way in: of which pipeline file each one is, what its jobs are there, and what came of it all.
Where they come from, and how it is said, is not known here.
"""

from __future__ import annotations

import os
from collections import Counter

from stagebook.formats.request import Request
from stagebook.model.problem import InputError
from stagebook.model.value import NamedTuple
from stagebook.recordings import journal
from stagebook.recordings.match import Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

    from stagebook.model.pipeline import Pipeline
    from stagebook.model.recorded import RecordedRun
    from stagebook.recordings.keep import Keeper

_CHILD = "parent_pipeline"  #: what has started a pipeline of GitLab that another one made, from a file that is not told


READINGS_MAX = 20  #: of one file, for as many branches


class Files(NamedTuple):
    """The pipeline files that runs may be of, absolute. `root`: of the repository. `is_chosen`: the user has named the
    one there is, so that runs of others are left out, unless it `takes_all`: a native file is called otherwise."""

    files: tuple[str, ...]
    root: str
    is_chosen: bool = False
    takes_all: bool = False


class Of:
    """What has come in of one pipeline file, or of a workflow that no file here holds."""

    def __init__(self, file: str, name: str, stages: Iterable[str]) -> None:
        self.file = file
        self.name = name
        self.unseen = dict.fromkeys(stages)
        self.runs = self.jobs = 0
        self.unmatched: Counter[str] = Counter()
        self.is_read = bool(self.unseen)

    def plain(self) -> dict[str, Any]:
        return {
            "file": self.file or None, "pipeline": self.name, "runs": self.runs, "jobs": self.jobs,
            "unmatched": [{"name": name, "count": count} for name, count in self.unmatched.most_common()],
            "unseen": list(self.unseen) if self.is_read else [],
        }  # fmt: skip


class Intake:
    """`load` reads a file as an event has it; InputError for one that is wrong."""

    def __init__(self, keeper: Keeper, files: Files, load: Callable[[str, Request], Pipeline]) -> None:
        self._keeper = keeper
        self._files = files
        self._load = load
        self._read: dict[tuple[str, str], dict[str | None, tuple[Pipeline | None, Names]]] = {}
        self._chosen: dict[tuple[Any, ...], str | None] = {}
        self.of: dict[str, Of] = {}
        self.did: Counter[str] = Counter()  #: `added`, `renewed`, `known`, `other` workflows, `empty`
        self.said: dict[str, None] = {}

    def skips(self, path: str) -> bool:
        """Whether a run of this workflow file is left out, as the user has named another one; then it is counted."""
        is_other = self._files.is_chosen and bool(path) and not self._is_file(path)
        self.did["other"] += is_other
        return is_other

    def _is_file(self, path: str) -> bool:
        return self._files.takes_all or os.path.basename(self._files.files[0]) == os.path.basename(path)

    def take(self, run: RecordedRun) -> None:
        """Raises SurroundingsError, and InputError where the file that the user has named is wrong."""
        file = self._file_of(run)
        if file is None:
            self.did["other"] += 1
            return
        pipeline, names = self._pipeline(file, run)
        written = journal.write(run, pipeline, names, file)
        if written is None:
            self.did["empty"] += 1
            return
        kept = self._keeper.put(written)
        self.did[kept.what] += 1
        self._count(file, run, pipeline, names, written)

    def _count(
        self, file: str, run: RecordedRun, pipeline: Pipeline | None, names: Names, written: journal.Written
    ) -> None:  # fmt: skip
        name = pipeline.name if pipeline is not None else (run.workflow or run.path or run.system)
        of = self.of.get(file or name)
        if of is None:
            stages = [stage.id for stage in pipeline.stages if stage.kind != "gate"] if pipeline is not None else []
            of = self.of[file or name] = Of(file, name, stages)
        of.runs += 1
        of.jobs += written.jobs
        if pipeline is not None:
            of.unmatched.update(written.unmatched)
        for job in run.jobs:
            found = names.find(job.name)
            if found is not None:
                of.unseen.pop(found.stage, None)

    # Which file -------------------------------------------------------------------------------------------------

    def _file_of(self, run: RecordedRun) -> str | None:
        """Empty: a file is not known; None: it is of another one than the user has named."""
        if run.event == _CHILD and not self._files.is_chosen:
            return ""
        if run.path is not None:
            wanted = os.path.join(self._files.root, run.path)
            if self._files.is_chosen:
                return self._files.files[0] if self._is_file(run.path) else None
            return wanted
        if len(self._files.files) < 2:
            return self._files.files[0] if self._files.files else ""
        key = run.system, run.workflow, *sorted({job.name for job in run.jobs})
        if key not in self._chosen:
            self._chosen[key] = self._likeliest(run)
        return self._chosen[key]

    def _likeliest(self, run: RecordedRun) -> str:
        """The file that is called as the workflow is; else that with most of its jobs. Empty: none or several."""
        scores = []
        for file in self._files.files:
            pipeline, names = self._pipeline(file, run)
            if pipeline is not None and run.workflow is not None and pipeline.name == run.workflow:
                return file
            found = [names.find(job.name) for job in run.jobs]
            scores.append((sum(each is not None for each in found), file))
        most = max(score for score, _ in scores)
        best = [file for score, file in scores if score == most]
        return best[0] if most and len(best) == 1 else ""

    def _pipeline(self, file: str, run: RecordedRun) -> tuple[Pipeline | None, Names]:
        """As it is for what started the run. Which branch that was decides little, and there are many of them: what
        was read for another one will do if it knows all jobs, and so will the best after so many."""
        known = self._read.setdefault((file, run.event or ""), {})
        if not file:
            known.setdefault(None, (None, Names(None)))
        names = {job.name for job in run.jobs}
        if run.ref not in known:
            if any(_missing(each, names) == 0 for each in known.values()) or len(known) >= READINGS_MAX:
                return min(known.values(), key=lambda each: _missing(each, names))
            pipeline = self._loaded(file, Request(run.event or "", run.ref))
            known[run.ref] = pipeline, Names(pipeline)
        return known[run.ref]

    def _loaded(self, file: str, request: Request) -> Pipeline | None:
        if not os.path.isfile(file) and not self._files.is_chosen:
            return None
        try:
            return self._load(file, request)
        except InputError as error:
            if request.event and any(each.code == "event" for each in error.problems):
                return self._loaded(file, request._replace(event=""))  # systems have events that no file names
            if self._files.is_chosen:
                raise
            first = next((each for each in error.problems if each.level == "error"), None)
            where = f"{file}:{first.line}: {first.message}" if first is not None else str(error)
            self.said[f"read without its file, which is wrong: {where}"] = None
            return None


def _missing(read: tuple[Pipeline | None, Names], names: set[str]) -> int:
    """How many of these names are no stage's, or only a part of one."""
    found = [read[1].find(name) for name in names]
    return sum(each is None or each.is_part for each in found)
