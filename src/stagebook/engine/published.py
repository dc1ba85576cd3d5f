"""What was published, by whom, and whether it is still what lies there. Reads no content; the words for what is wrong
are made here, without `integrity: ` before them.

What this run published is kept here; what a stage published that does not take part (it is up to date, or was not
selected) is known from its last success.
"""

from __future__ import annotations

from stagebook.artifact.digest import File
from stagebook.engine import closing
from stagebook.engine.freshness import UP_TO_DATE, Freshness, output_globs
from stagebook.graph.artifacts import read_of
from stagebook.model.globs import Globs
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.value import NamedTuple
from stagebook.scheduler.machine import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Collection, Iterable, Mapping, Sequence

    from stagebook.record.story import Story

DIGITS = 12  #: of a digest, in words for people


class Entry(NamedTuple):
    """One file, with the stage that published it. `stamp` is None where only its digest is on record. `turn`: how many
    files this run had published before it."""

    stage: int
    digest: str
    size: int
    stamp: Any = None
    turn: int = -1


class Began(NamedTuple):
    """When an attempt began: after so many files had been published, and by the clock of the day."""

    turn: int
    ns: int


class Published:
    def __init__(self, pipeline: Pipeline, machine: Machine, freshness: Freshness, run: str) -> None:
        self._stages = pipeline.stages
        self._machine = machine
        self._freshness = freshness
        self._run = run
        self._kept: set[int] = set()  #: stages that are up to date
        self._unread: list[int] = []  #: those of them of which it was not looked up yet what they made
        self._by_path: dict[str, Entry] = {}
        self.turns = 0  #: files published so far
        self._of: dict[int, set[str]] = {}
        self._torn: set[int] = set()  #: stages whose last attempt published nothing, and that do not run
        self._told: dict[int, set[int]] = {}  #: dependents to which outputs were announced
        self._announcing: set[int] = set()  #: stages that have announced, and neither published nor failed since
        #: By producer and consumer: what the latter has begun with before the former published it, path to digest.
        self._used: dict[int, dict[int, dict[str, str]]] = {}
        self._consumers: dict[int, list[tuple[int, list[str]]]] | None = None

    def grew(self, pipeline: Pipeline) -> None:
        """The run has further stages."""
        self._stages, self._consumers = pipeline.stages, None

    def add(self, stage: int, files: Iterable[File]) -> None:
        paths = self._of.setdefault(stage, set())
        for file in files:
            self._by_path[file.path] = Entry(stage, file.digest, file.size, file.stamp, self.turns)
            self.turns += 1
            paths.add(file.path)

    def withdraw(self, stage: int) -> None:
        """What it published, or announced, before it is not there any more."""
        for path in self._of.pop(stage, ()):
            if self._by_path[path].stage == stage:
                del self._by_path[path]
        self._told.pop(stage, None)
        self._announcing.discard(stage)

    def restore(self, story: Story) -> None:
        """As a journal has it: (path, size, digest) by stage; a number where it does not name them."""
        for need, users in story.used_early.items():
            for user, digests in users.items():
                end, globs = story.ends[user], Globs(self._stages[user].inputs)
                if end is not None and (end.outcome == "success" or end.reason == UP_TO_DATE):
                    used = {path: digest for path, digest in digests.items() if globs.first([path]) is not None}
                    self._used.setdefault(need, {})[user] = used
        for stage, rows in story.published.items():
            if isinstance(rows, int):
                continue  # its last success is on record elsewhere
            self._of[stage] = {row[0] for row in rows}
            self._by_path.update((path, Entry(stage, digest, size)) for path, size, digest in rows)

    def keep(self, stage: int) -> None:
        """The stage is up to date: what it made before stands. That is looked up when something else runs."""
        self._kept.add(stage)
        self._unread.append(stage)

    def is_kept(self, stage: int) -> bool:
        return stage in self._kept

    def is_of_other(self, stage: int, path: str) -> bool:
        """Whether another stage published what lies at a path, as far as that was looked up: a child can ask."""
        entry = self._by_path.get(path)
        return entry is not None and entry.stage != stage

    def catch_up(self) -> None:
        """Something else runs: look up what was made by stages that are up to date."""
        while self._unread:
            stage = self._unread.pop()
            if stage not in self._of:
                last = self._freshness.last(stage)
                self.add(stage, last.outputs if last is not None else ())

    # Before a consumer starts -------------------------------------------------------------------------------------

    def ask(self, stage: int) -> None:
        """Look up what its needs published that do not run now."""
        self.catch_up()
        for need in self._machine.plan.stages[stage].needs:
            if self._stages[need].outputs and need not in self._of and need not in self._torn:
                self._ask_record(need)

    def _ask_record(self, need: int) -> None:
        state = self._machine.state(need)
        if state not in ("skip", "success"):
            return
        last = self._freshness.last(need)
        if last is None or (state == "success" and last.run != self._run):
            return
        if last.ended and last.parts is not None:
            self.add(need, last.outputs)
        elif state == "skip":
            self._torn.add(need)

    def mismatch(self, stage: int, inputs: Sequence[File]) -> str | None:
        """What is wrong with its inputs, as they were read just now."""
        there = set()
        for file in inputs:
            entry = self._by_path.get(file.path)
            there.add(file.path)
            if entry is not None and entry.stage != stage and entry.digest != file.digest:
                return f"{file.path} changed after {self._name(entry.stage)} published it ({_both(entry, file)})"
        inputs_of_it = self._stages[stage].inputs
        globs, beginnings = Globs(inputs_of_it), tuple(map(_beginning, inputs_of_it))
        for need in self._machine.plan.stages[stage].needs:
            missing = [path for path in self._of.get(need, ()) if path not in there and path.startswith(beginnings)]
            path = globs.first(sorted(missing))
            if path is not None and self._by_path[path].stage == need:
                return f"{path} is missing: {self._name(need)} published it"
            left = self._left(need, inputs)
            if left is not None:
                who = f"the last attempt of {self._name(need)}" if need in self._torn else self._name(need)
                return f"{left} is not whole: {who} did not publish it"
        return None

    def _left(self, need: int, inputs: Sequence[File]) -> str | None:
        """What lies there of a stage that has not ended well, and is nobody's; a whole report may be read."""
        if need not in self._torn:
            if not self._machine.attempt(need) or self._machine.state(need) in ("success", "skip"):
                return None
        nobody = [file.path for file in inputs if file.path not in self._by_path]
        globs = Globs(output_globs(self._stages[need]))
        while (path := globs.first(nobody)) is not None:
            if not closing.is_whole_report(self._freshness.root, path):
                return path
            nobody.remove(path)
        return None

    # After a success ----------------------------------------------------------------------------------------------

    def own(self, stage: int, files: Sequence[File], began: Began) -> tuple[list[File], str | None]:
        """Without what others published and this stage has not touched; and what is wrong where it has, or may have:
        what another published while this stage ran, and has changed since it began, either may have written last."""
        self.catch_up()
        own: list[File] = []
        declared = {output.path for output in self._stages[stage].outputs}
        for file in files:
            entry = self._by_path.get(file.path)
            if entry is None or entry.stage == stage:
                own.append(file)
            elif (
                file.path in declared
                or (entry.stamp != file.stamp if entry.stamp is not None else entry.digest != file.digest)
                or (entry.turn >= began.turn and file.stamp.ctime_ns >= began.ns)
            ):
                return own, f"{file.path} was written by both {self._name(entry.stage)} and {self._name(stage)}"
        return own, None

    def changed_since(self, stage: int, announced: Mapping[str, File], files: Sequence[File]) -> str | None:
        """What was announced early and is no longer the same."""
        if not announced:
            return None
        now = {file.path: file for file in files}
        readers = ", ".join(self._name(each) for each in sorted(self._told.get(stage, ())))
        for path, file in announced.items():
            if path not in now:
                return f"{path} is missing: {self._name(stage)} had announced it{_to(readers)}"
            if now[path].digest != file.digest:
                both = _both(Entry(stage, file.digest, file.size), now[path])
                return f"{path} changed after {self._name(stage)} announced it{_to(readers)} ({both})"
        return None

    # Early --------------------------------------------------------------------------------------------------------

    def announce(self, stage: int, file: File) -> None:
        self._announcing.add(stage)
        self.add(stage, [file])

    def use(self, stage: int, files: Iterable[File]) -> None:
        """The stage begins with these, or is up to date with them: some may be announced only."""
        self.forget(stage)
        for file in files if self._announcing else ():
            entry = self._by_path.get(file.path)
            if entry is not None and entry.stage != stage and entry.stage in self._announcing:
                self._used.setdefault(entry.stage, {}).setdefault(stage, {})[file.path] = file.digest

    def forget(self, stage: int) -> None:
        """What came of its use is void."""
        for users in self._used.values():
            users.pop(stage, None)

    def is_early(self, stage: int) -> bool:
        """Whether it has used what is announced only."""
        return any(stage in users for users in self._used.values())

    def used_otherwise(self, stage: int, files: Iterable[File]) -> str | None:
        """What of an announced output was used and is not what is to be published."""
        users = self._used.get(stage)
        now = {file.path: file.digest for file in files} if users else {}
        for user, digests in (users or {}).items():
            for path, digest in digests.items():
                if now.get(path) != digest:
                    return f"{path} changed after it was announced, and {self._name(user)} has used it"
        return None

    def settle(self, stage: int) -> dict[int, str]:
        """The stage has come to its end: who used what it had announced, each with one path of that."""
        self._announcing.discard(stage)
        return {user: next(iter(digests)) for user, digests in self._used.pop(stage, {}).items() if digests}

    def may_be_announced(self, stage: Stage, path: str) -> bool:
        return Globs([output.path for output in stage.outputs if output.early]).first([path]) is not None

    def dependents(self, stage: int, announced: Collection[str]) -> tuple[int, ...]:
        """Those whose need of the stage is met by now, each told once."""
        told = self._told.setdefault(stage, set())
        fresh = [
            consumer
            for consumer, globs in self._early_consumers().get(stage, ())
            if consumer not in told and all(Globs([glob]).first(announced) is not None for glob in globs)
        ]
        told.update(fresh)
        return tuple(fresh)

    def _early_consumers(self) -> dict[int, list[tuple[int, list[str]]]]:
        """By producer: who goes on as soon as which of its outputs are announced."""
        if self._consumers is None:
            self._consumers = {}
            at = {stage.id: index for index, stage in enumerate(self._stages)}
            for index, stage in enumerate(self._stages):
                for producer in stage.early:
                    read = read_of(stage.inputs, self._stages[at[producer]].outputs)
                    globs = [output.path for output in read if output.early]
                    self._consumers.setdefault(at[producer], []).append((index, globs))
        return self._consumers

    def _name(self, stage: int) -> str:
        return self._stages[stage].id


def _beginning(glob: str) -> str:
    """What every path that it matches begins with: most paths are told by that."""
    return glob[: min(at for at in (*map(glob.find, "*?["), len(glob)) if at >= 0)].removeprefix("./")


def _both(entry: Entry, file: File) -> str:
    return f"expected {entry.digest[:DIGITS]}…, got {file.digest[:DIGITS]}…"


def _to(readers: str) -> str:
    return f" to {readers}" if readers else ""
