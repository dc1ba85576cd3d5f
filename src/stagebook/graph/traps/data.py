"""Artifacts and caches of CI jobs that miss each other: read by nobody, read before they are written, written twice.
Pure. What one file alone cannot tell, since another workflow or a person may be at the other end, is minor.
"""

from __future__ import annotations

from stagebook.graph.actions import unknown_in
from stagebook.graph.coupling import listed, named
from stagebook.graph.findings import Finding
from stagebook.graph.jobs import in_words, meet
from stagebook.graph.reach import Reach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from stagebook.graph.shape import Shape
    from stagebook.model.job import Datum
    from stagebook.model.pipeline import Pipeline, Stage

_PAIRS_MAX = 200_000


def missed(pipeline: Pipeline, found: Shape) -> list[Finding]:
    """Costs at most `_PAIRS_MAX` comparisons of each kind; beyond, nothing is said."""
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    needs = [[at[need] for need in stage.needs] for stage in pipeline.stages]
    reach = Reach(needs, found.level)
    made: list[Finding] = []
    for kind in ("artifact", "cache"):
        writers = [
            (index, datum) for index, stage in enumerate(pipeline.stages) for datum in _of(stage, kind, "writes")
        ]
        readers = [(index, datum) for index, stage in enumerate(pipeline.stages) for datum in _of(stage, kind, "reads")]
        if not (writers or readers) or len(writers) * max(len(readers), 1) > _PAIRS_MAX:
            continue
        looker = _Looker(pipeline, reach, writers, readers)
        made += [*looker.read_early(), *looker.clashes()] if kind == "artifact" else looker.caches_read()
        made += looker.unread(kind)
    return made


def _of(stage: Stage, kind: str, side: str) -> list[Datum]:
    if stage.job is None or (kind == "artifact" and stage.job.system != "github"):
        return []  # GitLab hands artifacts on by its order of stages: nothing is read by name
    return [each for each in getattr(stage.job, side) if each.kind == kind]


class _Looker:
    def __init__(
        self, pipeline: Pipeline, reach: Reach, writers: list[tuple[int, Datum]], readers: list[tuple[int, Datum]]
    ) -> None:
        self.stages = pipeline.stages
        self.is_part = "workflow_call" in pipeline.more.get("on", ())  #: whoever calls it may write and read too
        self.is_called = (
            self.is_part
            or bool(pipeline.missing)
            or any(
                "/" in stage.id or (stage.job is not None and unknown_in(stage.job) is not None)
                for stage in pipeline.stages
            )
        )
        self.reach = reach
        self.writers = writers
        self.readers = readers

    def read_early(self) -> Iterator[Finding]:
        """What a job downloads although the one that uploads it need not be over by then, or does not exist."""
        told: set[tuple[int, str]] = set()
        for reader, datum in self.readers:
            own = self.stages[reader]
            if (datum.line, datum.name) in told or not datum.name or datum.is_sure is False:
                continue
            made = [index for index, written in self.writers if written.is_sure is not False and meet(written, datum)]
            if any(index == reader for index in made):
                continue
            ordered = [index for index in made if self.reach.before(index, reader) is not False]
            if ordered:
                continue
            if made:
                told.add((datum.line, datum.name))
                makers = [self.stages[index] for index in made]
                some = listed(named(makers))
                yield Finding(
                    "early-artifact",
                    "warning",
                    datum.line,
                    f"{own.name} downloads {in_words(datum)}, and need not wait for {some} to upload it",
                    (own.id, *(stage.id for stage in makers)),
                    "whether it is there is a matter of luck",
                    f"let {own.name} need {some}",
                    file=datum.file,
                )
            elif not datum.is_open and not self.is_called and not any(each.is_open for _, each in self.writers):
                told.add((datum.line, datum.name))
                yield Finding(
                    "unwritten-artifact",
                    "warning",
                    datum.line,
                    f"{own.name} downloads artifact {datum.name}, which no job of this file uploads",
                    (own.id,),
                    "the step fails unless another workflow's run is named",
                    "name the artifact as it is uploaded, or the run that it is of",
                    file=datum.file,
                )

    def caches_read(self) -> Iterator[Finding]:
        """What a job only restores although no job before it has filled it."""
        told: set[tuple[str, int]] = set()
        for reader, datum in self.readers:
            own = self.stages[reader]
            made = [index for index, written in self.writers if meet(written, datum)]
            if (own.name, datum.line) in told or any(self.stages[index].name == own.name for index in made):
                continue
            if any(self.reach.before(index, reader) is not False for index in made):
                continue
            told.add((own.name, datum.line))
            makers = [self.stages[index] for index in made]
            some = listed(named(makers)) if makers else "no job of this file"
            yield Finding(
                "early-cache" if made else "unwritten-cache",
                "note",
                datum.line,
                f"{own.name} restores {in_words(datum)}, which {some} fills"
                + (", perhaps later" if made else ""),
                (own.id, *(stage.id for stage in makers)),
                "it gets what an earlier run has left, or nothing",
                f"let {own.name} need {some}" if made else "look whether another workflow fills it under that name",
                minor=True,
                file=datum.file,
            )  # fmt: skip

    def unread(self, kind: str) -> Iterator[Finding]:
        """What no job of the file reads. People may, and so may whoever calls the file."""
        if self.is_part:
            return
        told: set[tuple[str, int]] = set()
        for writer, datum in self.writers:
            own = self.stages[writer]
            if datum.is_sure is False or (own.name, datum.line) in told:
                continue
            if any(meet(datum, read) for _, read in self.readers):
                continue
            told.add((own.name, datum.line))
            verb = "uploads" if kind == "artifact" else "fills"
            yield Finding(
                f"unread-{kind}",
                "note",
                datum.line,
                f"{own.name} {verb} {in_words(datum)}, which no job of this file reads",
                (own.id,),
                "it takes time and room",
                "keep it if people or other workflows want it",
                minor=True,
                file=datum.file,
            )

    def clashes(self) -> Iterator[Finding]:
        """One name that several jobs upload in one run: since its version 4 the action refuses the second one."""
        by_name: dict[tuple[str, str | None, int], list[int]] = {}
        for index, datum in self.writers:
            if datum.is_open or "*" in datum.name or not datum.name:
                continue
            if datum.is_sure:
                by_name.setdefault((datum.name, datum.file, datum.line), []).append(index)
        for (name, file, line), users in by_name.items():
            stages = [self.stages[index] for index in dict.fromkeys(users)]
            if len(stages) < 2 or any(stage.cell is None or stage.name != stages[0].name for stage in stages):
                continue
            yield Finding(
                "artifact-clash",
                "warning",
                line,
                f"{self._cells(stages)} of {stages[0].name} upload an artifact called {name}",
                tuple(stage.id for stage in stages),
                "the second one to come is refused (with actions/upload-artifact before v4: it overwrites)",
                "put a value of the matrix into the name",
                file=file,
            )

    def _cells(self, some: list[Stage]) -> str:
        total = sum(stage.name == some[0].name for stage in self.stages)
        return f"all {total} cells" if len(some) == total else f"{len(some)} of the {total} cells"
