"""Suites that are split, in a run: dealt once, each shard in a workspace of its own, their reports merged. How tests
are dealt is `graph.shards`, how a folder is copied `isolate.workspace`; nothing here decides what starts.

A suite is dealt when its first shard is about to start, and never again in that run, a resume included: in the run's
folder `split/SUITE.json` says what each shard has and which times that rests on. What takes long is called from a child
of the engine: the copy before an attempt, its report and the end of its workspace after it.
"""

from __future__ import annotations

import errno
import json
import os
import stat

from stagebook.graph import shards
from stagebook.isolate import workspace
from stagebook.model.pipeline import Pipeline, Split, Stage
from stagebook.model.value import NamedTuple
from stagebook.record import durations, state
from stagebook.scheduler.machine import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.record.mask import Mask

EMPTY = "no tests for this shard"


class Undealt(Exception):
    """Why a shard has no tests to be given; the stage is an `error` with this text as its reason."""


class Place(NamedTuple):
    """Where a shard works (its stage's `dir` aside), and the variables that it is given."""

    directory: str
    variables: dict[str, str]


class Suites:
    """The suites of one run. `directory` is the run's; `mask` hides its secrets."""

    def __init__(self, pipeline: Pipeline, machine: Machine, directory: str, mask: Mask | None = None) -> None:
        self._pipeline = pipeline
        self._machine = machine
        self._directory = directory
        self._mask = mask
        self._state = os.path.dirname(os.path.dirname(directory))
        self._cache = os.path.join(self._state, "cache")
        self._folder = pipeline.folder
        self._workspaces = workspace.directory(self._state, os.path.basename(directory))
        self._dealt: dict[str, list[list[str]]] = {}
        self._parts: dict[str, dict[str, int]] = {}  #: suite to part to index
        self._warnings: list[str] = []
        self.grew(pipeline)

    def grew(self, pipeline: Pipeline) -> None:
        """The run has these stages."""
        self._pipeline = pipeline
        for index, stage in enumerate(pipeline.stages):
            if stage.split is not None:
                self._parts.setdefault(stage.split.suite, {})[stage.split.part] = index

    def take_warnings(self) -> list[str]:
        """What is to be told of how suites were dealt; once."""
        warnings, self._warnings = self._warnings, []
        return warnings

    # Dealing --------------------------------------------------------------------------------------------------

    def verdict(self, stage: int) -> tuple[str, str | None]:
        """Whether a shard has anything to do, as the answer to a condition."""
        split = self._split(stage)
        try:
            is_empty = not self._of(split)[int(split.part) - 1]
        except (Undealt, OSError) as error:
            return "error", str(error)
        return ("skip", EMPTY) if is_empty else ("run", None)

    def _of(self, split: Split) -> list[list[str]]:
        """The tests of each shard."""
        dealt = self._dealt.get(split.suite)
        if dealt is None:
            path, source = self._path(split.suite) + ".json", self._source(split)
            if os.path.exists(path):
                found = _read(path)
                if found is None:
                    raise Undealt(f"{path} is damaged: which shard has which tests is not known any more")
                dealt = found[1] if found[0] == source else None
            if dealt is None:
                dealt = self._deal(split, source)
            self._dealt[split.suite] = dealt
        return dealt

    def _source(self, split: Split) -> list[Any]:
        """What a division rests on beside times: it is another suite where a resume takes over a changed file, or its
        list was printed anew."""
        listing = self._parts[split.suite].get("list")
        attempt = None if listing is None else self._machine.attempt(listing)
        return [split.shards, split.by_file, list(split.files), attempt]

    def _deal(self, split: Split, source: list[Any]) -> list[list[str]]:
        known = durations.load(self._cache, split.suite, self._times(split.suite))
        tests, latest = self._tests(split)
        if latest is None:
            dealt = shards.divide(tests, known, split.shards)
            if not known.keys() & set(tests):
                self._warnings.append(f"{split.suite}: no timings yet, tests are dealt in turn")
        else:
            dealt = latest
            self._warnings.append(f"{split.suite}: dealt as it was the last time, as not all of it was selected")
        used = {test: known[test] for tests in dealt for test in tests if test in known}
        os.makedirs(os.path.join(self._directory, "split"), 0o700, exist_ok=True)
        for number, tests in enumerate(dealt, 1):
            _write(f"{self._path(split.suite)}.{number}", "".join(f"{test}\n" for test in tests))
        expected = [sum(used.get(test, 0) for test in tests) for tests in dealt]
        facts = {"suite": split.suite, "of": source, "shards": dealt, "expected_us": expected, "times_us": used}
        _forget(self._folder, self._pipeline.stages[self._parts[split.suite][split.part]])
        text = json.dumps(facts, indent=1)
        _write(self._path(split.suite) + ".json", text)
        if latest is None:
            self._remember(split.suite, text)
        return dealt

    def _remember(self, suite: str, text: str) -> None:
        try:
            os.makedirs(self._cache, 0o700, exist_ok=True)
            _write(self._latest(suite), text)
        except OSError:
            pass  # a cache, which can be lost

    def _tests(self, split: Split) -> tuple[list[str], list[list[str]] | None]:
        """The suite; or, where only part of it runs, as it was dealt the last time: to run what failed again must not
        mean to run other tests."""
        parts = self._parts[split.suite]
        if any(self._machine.plan.stages[index].skip is not None for index in parts.values()):
            latest = _read(self._latest(split.suite))
            if latest is not None and len(latest[1]) == split.shards:
                return [], latest[1]
        listing = parts.get("list")
        if listing is None:
            tests = self._found(split)
            if not tests:
                raise Undealt(f"no file matches {', '.join(split.files)}")
            return tests, None
        stage, attempt = self._pipeline.stages[listing], self._machine.attempt(listing)
        if not attempt:
            raise Undealt(f"{stage.id} has not run, and this suite was never dealt before: select it too")
        log = os.path.join(state.logs_directory(self._directory), state.log_name(stage.id, attempt))
        with state.open_regular(log) as file:
            text = file.read().decode("utf-8", "surrogateescape")
        tests = shards.listed(text, split.by_file)
        if not tests:
            raise Undealt(f"{stage.id} has listed no test")
        return tests, None

    def _found(self, split: Split) -> list[str]:
        from stagebook.artifact import paths

        shard = self._pipeline.stages[self._parts[split.suite][split.part]]
        try:
            found = paths.found(os.path.join(self._folder, shard.dir or ""), split.files)
        except paths.Unsound as error:
            raise Undealt(f"files: {error}") from None
        for path in found:
            if "\n" in path:
                raise Undealt(f"the name of {path!r} has a line break, and a list of tests has one a line")
        return found

    # Before an attempt ----------------------------------------------------------------------------------------

    def place(self, stage: int, attempt: int) -> Place:
        """Where that attempt is to work. Raises Undealt, OSError."""
        split = self._split(stage)
        self._of(split)
        lists = f"{self._path(split.suite)}.{split.part}"
        variables = {"STAGEBOOK_SPLIT": lists, "STAGEBOOK_SHARDS": str(split.shards)}
        return Place(self._workspace(stage, attempt), variables)

    def make(self, stage: int, attempt: int) -> list[str]:
        """In a child: the workspace of that attempt, in place of an earlier one's. What was left out of it."""
        name = self._pipeline.stages[stage].id
        for earlier in range(1, attempt):
            workspace.remove(self._workspace(stage, earlier))
        workspace.sweep(self._state, but=os.path.basename(self._directory))
        place = self._workspace(stage, attempt)
        notes = workspace.make(self._folder, place, self._state)
        _forget(place, self._pipeline.stages[stage])
        return [f"{name}: left out of its workspace: {', '.join(notes)}"] if notes else []

    # After an attempt -----------------------------------------------------------------------------------------

    def settle(self, stage: int, attempt: int, is_well: bool) -> list[str]:
        """In a child: keep its report, learn how long its tests took, merge; and be rid of its workspace where all went
        well. What a person should know."""
        split, name = self._split(stage), self._pipeline.stages[stage].id
        place = self._workspace(stage, attempt)
        warnings = self._gather(stage, attempt, split, place, is_well) if split.report is not None else []
        if not is_well:
            warnings.append(f"{name}: its workspace is kept until the next run: {place}")
        elif not workspace.remove(place):
            warnings.append(f"{name}: its workspace could not be removed: {place}")
        else:
            try:
                os.rmdir(self._workspaces)
            except OSError:
                pass  # others are at work
        return warnings

    def _gather(self, stage: int, attempt: int, split: Split, place: str, is_well: bool) -> list[str]:
        """Keep the report of an attempt, merge it with those of the other shards, and learn from it."""
        import fcntl

        from stagebook.history import merge

        this = self._pipeline.stages[stage]
        kept, target = self._kept(this, attempt), _report(self._folder, this)
        try:
            _copy(_report(place, this), kept, self._mask)
        except OSError as error:
            return [f"{this.id}: its report {split.report} is not there: {error.strerror}"] if is_well else []
        fd = os.open(self._path(split.suite) + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)  # two shards may end at once: who merges last sees both reports
            if not _is_inside(target, self._folder):
                return [f"{split.suite}: {split.report} leads out of the pipeline's folder, so nothing is merged there"]
            os.makedirs(os.path.dirname(target), exist_ok=True)
            merged = merge.merge(split.suite, self._reports(split.suite), target)
            if split.part not in merged.damaged:
                self._learn(split, kept)
        except OSError as error:
            return [f"{split.suite}: its reports could not be merged: {error}"]
        finally:
            os.close(fd)
        warnings = []
        if split.part in merged.damaged:
            why = merged.damaged[split.part]
            warnings.append(f"{this.id}: its report {split.report} is damaged, and left out of the merged one: {why}")
        if merged.twice:
            hint = "does `run` take its tests from the file $STAGEBOOK_SPLIT?"
            warnings.append(f"{split.suite}: {merged.twice} tests were reported by more than one shard; {hint}")
        return warnings

    def _reports(self, suite: str) -> list[tuple[str, str]]:
        """The latest that there is of each shard, by its number. As they lie there: a shard that begins after this
        process was forked may have ended and merged before it."""
        found = []
        for part, index in self._parts[suite].items():
            stage = self._pipeline.stages[index]
            attempts = state.reported_attempts(self._directory, stage.id) if part != "list" else []
            if attempts:
                found.append((part, self._kept(stage, attempts[-1])))
        return sorted(found, key=lambda each: int(each[0]))

    def _learn(self, split: Split, report: str) -> None:
        from stagebook.history import junit

        dealt = self._of(split)
        cases = [
            (case.classname, case.name, case.file, round(case.seconds * 1e6))
            for case in junit.read(report)
            if case.seconds is not None and case.outcome != "skip"
        ]
        everything = {test for tests in dealt for test in tests}
        took = shards.times_of(dealt[int(split.part) - 1], cases)
        durations.update(self._cache, split.suite, took, self._times(split.suite), everything)

    # Paths ----------------------------------------------------------------------------------------------------

    def _split(self, stage: int) -> Split:
        split = self._pipeline.stages[stage].split
        assert split is not None, "only shards come here"
        return split

    def _path(self, suite: str) -> str:
        return os.path.join(self._directory, "split", state.log_stem(suite))

    def _workspace(self, stage: int, attempt: int) -> str:
        return os.path.join(self._workspaces, f"{state.log_stem(self._pipeline.stages[stage].id)}.{attempt}")

    def _kept(self, stage: Stage, attempt: int) -> str:
        return os.path.join(state.reports_directory(self._directory), state.report_name(stage.id, attempt))

    def _times(self, suite: str) -> str:
        """The name of the cache of this suite's times, which are in microseconds by line of its list."""
        return f"timings-{self._mark(suite)}.json"

    def _latest(self, suite: str) -> str:
        return os.path.join(self._cache, f"split-{self._mark(suite)}.json")

    def _mark(self, suite: str) -> str:
        from hashlib import blake2b

        return blake2b(os.fsencode(f"{self._pipeline.file}\0{suite}"), digest_size=8).hexdigest()


def _read(path: str) -> tuple[list[Any], list[list[str]]] | None:
    """What a division rests on, and itself; None where there is nothing sound."""
    try:
        with state.open_regular(path) as file:
            facts = json.load(file)
        dealt = [[str(test) for test in tests] for tests in facts["shards"]]
        return list(facts["of"]), dealt
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _write(path: str, text: str) -> None:
    """As a whole, or not at all, and durable. Raises OSError."""
    draft = f"{path}.{os.getpid()}.tmp"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "wb") as out:
            out.write(text.encode("utf-8", "surrogateescape"))
            out.flush()
            os.fdatasync(fd)
        os.replace(draft, path)
    except OSError:
        os.unlink(draft)
        raise


def _report(folder: str, shard: Stage) -> str:
    """The path of a shard's report, in its workspace or where all are merged."""
    assert shard.split is not None and shard.split.report is not None
    return os.path.join(folder, shard.dir or "", shard.split.report)


def _forget(folder: str, shard: Stage) -> None:
    """A report of an earlier run, which nobody may take for one of this run."""
    if shard.split is None or shard.split.report is None:
        return
    path = _report(folder, shard)
    try:
        if _is_inside(path, folder):
            os.unlink(path)
    except OSError:
        pass  # it is not there


def _copy(source: str, target: str, mask: Mask | None) -> None:
    """A regular file that no link led to; a report that is being written to does not keep us. The copy is masked.

    Raises OSError."""
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        left = os.fstat(fd).st_size
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", source)
        os.makedirs(os.path.dirname(target), 0o700, exist_ok=True)
        draft = f"{target}.{os.getpid()}.tmp"
        stream = mask.stream() if mask else None
        with open(draft, "wb") as out:
            while left > 0 and (piece := file.read(min(left, 1 << 20))):
                left -= len(piece)
                out.write(stream.feed(piece) if stream is not None else piece)
            if stream is not None:
                out.write(stream.end())
        os.replace(draft, target)


def _is_inside(path: str, folder: str) -> bool:
    folder = os.path.realpath(folder)
    return os.path.commonpath([folder, os.path.realpath(os.path.dirname(path))]) == folder
