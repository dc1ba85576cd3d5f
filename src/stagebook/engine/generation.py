"""What stages generate, in one run: the file that each attempt is given, read by a child when the attempt has ended
well, and kept. What came of it is told to the loop (`Ear`), which has it join the run. Decides nothing.

One file is read at a time, and the next one only after what the one before holds has joined: names must be new and
needs without a circle in the run as it is by then.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from contextlib import suppress
from functools import partial

from stagebook.engine.attempts import Finished, hide
from stagebook.engine.freshness import UP_TO_DATE
from stagebook.engine.hasher import Failed, Hasher
from stagebook.engine.wakeup import Wakeup
from stagebook.model.pipeline import Pipeline
from stagebook.model.plain import from_plain, to_plain
from stagebook.model.problem import InputError, Problem, SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import faults, state
from stagebook.scheduler.extend import extend
from stagebook.scheduler.plan import Choice, Plan
from stagebook.scheduler.vocabulary import Kill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Protocol

    from stagebook.artifact.state import Last
    from stagebook.engine.attempt import Attempt
    from stagebook.engine.secrets import Secrets
else:
    Protocol = object

VARIABLE = "STAGEBOOK_GENERATE"
FOLDER = "generated"
BYTES_MAX = 16 << 20  #: as `formats.native.grammar` has it, which a run without such stages does not import
NOT_KEPT = "what it generated before is not kept"


class Ear(Protocol):
    """Who is told. Any of these may be called before the question returns."""

    def generated(self, attempt: Attempt, end: Finished) -> None: ...
    def generated_before(self, stage: int, verdict: str, reason: str | None) -> None: ...


class Part(NamedTuple):
    """What a stage has generated: a pipeline of these stages alone, as JSON text, and what its reader warns of."""

    text: str
    warnings: tuple[str, ...] = ()


class Reading(NamedTuple):
    """What a child brings: a part (None: there is nothing to do, or it has joined), or all that is wrong."""

    part: Part | None = None
    problems: tuple[Problem, ...] = ()


class Generation:
    """The stages of one run that generate others. `ear` is set before anything is asked; `last` tells of the last
    success of a stage."""

    ear: Ear

    def __init__(
        self, pipeline: Pipeline, plan: Plan, choice: Choice, directory: str, wakeup: Wakeup, secrets: Secrets | None,
        begun: Mapping[str, int],
    ) -> None:  # fmt: skip
        """`directory` is that of the run; `begun` are attempts of stages from before the file was changed."""
        self.hasher = Hasher(wakeup, 1)
        self.secrets = secrets
        self.last: Callable[[int], Last | None] | None = None
        self._begun = begun
        self._pipeline = pipeline
        self._plan = plan
        self._choice = choice
        self._directory = directory
        self._parts: dict[int, Part] = {}
        self._queue: list[tuple[int, Callable[[], Reading], Callable[[Any], None]]] = []
        self._at: int | None = None  #: whose file is read, or has been and is to join
        self._read: dict[int, tuple[Attempt, Finished]] = {}
        self._then: Callable[[Any], None] | None = None

    @property
    def is_busy(self) -> bool:
        return self._at is not None

    def concerns(self, stage: int) -> bool:
        return self._pipeline.stages[stage].kind == "generate"

    def path(self, stage: int, attempt: int, run: str | None = None) -> str:
        """The file that an attempt is given, and that is kept of it."""
        directory = self._directory if run is None else os.path.join(os.path.dirname(self._directory), run)
        return os.path.join(directory, FOLDER, _name(self._pipeline.stages[stage].id, attempt))

    def open(self, stage: int, attempt: int) -> str:
        """Where an attempt is to write; nothing lies there. Raises OSError."""
        path = self.path(stage, attempt)
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(path)
        return path

    # After an attempt ---------------------------------------------------------------------------------------------

    def take(self, attempt: Attempt, end: Finished) -> bool:
        """After the end of a process; False if there is nothing to read for it."""
        stage = attempt.stage
        if not self.concerns(stage):
            return False
        if end.outcome != "success":
            self._hide(self.path(stage, attempt.number))
            return False
        self._read[stage] = attempt, end
        work = partial(self._work, stage, self.path(stage, attempt.number))
        self._begin(stage, work, partial(self._ended, stage))
        return True

    def _ended(self, stage: int, answer: Reading | Failed) -> None:
        attempt, end = self._read.pop(stage)
        reading = self._kept(stage, answer)
        if reading.problems:
            path = self.path(stage, attempt.number)
            self._hide(path)
            with suppress(OSError):
                if os.lstat(path).st_size > BYTES_MAX:
                    os.unlink(path)  # nobody reads it, and it takes room
            self._log(attempt, reading.problems)
            end = end._replace(outcome="failure", reason=_reason(reading.problems))
        elif reading.part is not None:
            end = end._replace(warnings=(*end.warnings, *reading.part.warnings))
        self.ear.generated(attempt, end)

    def _kept(self, stage: int, answer: Reading | Failed) -> Reading:
        if isinstance(answer, Failed):
            answer = Reading(None, (Problem(FOLDER, 0, 0, "file", "error", f"could not be read: {answer}"),))
        if answer.part is not None:
            self._parts[stage] = answer.part
        return answer

    def _log(self, attempt: Attempt, problems: tuple[Problem, ...]) -> None:
        """All that is wrong, at the end of what the attempt printed."""
        text = "".join(f"stage {attempt.name}: {_said(problem)}\n" for problem in problems)
        with suppress(OSError), open(attempt.log, "ab") as log:
            log.write(text.encode("utf-8", "surrogateescape"))

    def _hide(self, path: str) -> None:
        """What nobody reads any more may hold secrets."""
        if self.secrets is not None and self.secrets.mask:
            hide(path, self.secrets.mask)

    # Up to date ---------------------------------------------------------------------------------------------------

    def is_to_recall(self, stage: int, reason: str | None) -> bool:
        """Whether a stage that does not run has generated others before."""
        return reason == UP_TO_DATE and self.concerns(stage)

    def recall(self, stage: int, reason: str | None) -> None:
        """The stage is up to date: what it generated when it ran joins this run as well, or else it runs again."""
        last = self.last(stage) if self.last is not None else None
        path = None if last is None else self.path(stage, last.attempt, last.run)
        if path is None or not os.path.isfile(path):
            self.ear.generated_before(stage, "run", NOT_KEPT)
            return
        self._begin(stage, partial(self._work, stage, path, True), partial(self._recalled, stage, reason))

    def _recalled(self, stage: int, reason: str | None, answer: Reading | Failed) -> None:
        reading = self._kept(stage, answer)
        if reading.problems:
            why = f"what it generated before does not fit: {_said(reading.problems[0])}"
            self.ear.generated_before(stage, "run", why)
        else:
            self.ear.generated_before(stage, "skip", reason)

    # Joining ------------------------------------------------------------------------------------------------------

    def join(self, stage: int) -> tuple[Pipeline, Plan, Part] | None:
        """The run with what the stage has generated; None: that is nothing. Raises InputError."""
        part = self._parts.pop(stage, None)
        if part is None:
            return None
        made = from_plain(json.loads(part.text))
        maker = self._pipeline.stages[stage].id
        self._pipeline, self._plan = extend(self._pipeline, self._plan, self._choice, made, maker, self._begun)
        return self._pipeline, self._plan, part

    def grew(self, pipeline: Pipeline) -> None:
        """The run has more stages, which it knows of itself."""

    def over(self, stage: int) -> None:
        """The attempt, or the question, is over: what it generated has joined, or never will."""
        self._parts.pop(stage, None)
        if self._at == stage:
            self._at = None
            self._go_on()

    # Reading ------------------------------------------------------------------------------------------------------

    def _begin(self, stage: int, work: Callable[[], Reading], then: Callable[[Any], None]) -> None:
        self._queue.append((stage, work, then))
        self._go_on()

    def _go_on(self) -> None:
        while self._at is None and self._queue:
            self._at, work, self._then = self._queue.pop(0)
            self._tell(self.hasher.begin(self._at, work))

    def _tell(self, finished: list[tuple[Any, Any]]) -> None:
        for _, answer in finished:
            then, self._then = self._then, None
            if then is not None:
                then(answer)

    def pump(self, fd: int) -> bool:
        """Take what a child says; False if the descriptor is of none."""
        finished = self.hasher.pump(fd)
        if finished is None:
            return False
        self._tell(finished)
        return True

    def kill(self, decision: Kill) -> bool:
        """End an attempt of which only its file is still read; False if it has a process, or is not known here."""
        stage = decision.stage
        if stage not in self._read:
            return False
        attempt, end = self._read.pop(stage)
        self._queue = [entry for entry in self._queue if entry[0] != stage]
        if self._at == stage:
            self._then = None
            self.hasher.stop(stage)
        outcome = "timeout" if decision.why == "timeout" else "cancellation"
        self.ear.generated(attempt, end._replace(outcome=outcome, reason=decision.why))
        return True

    def close(self) -> None:
        self.hasher.close()

    def _work(self, stage: int, path: str, is_recalled: bool = False) -> Reading:
        """In a child: the file, held against the run as it is now."""
        faults.hit("generate.read")
        name = f"{FOLDER}/{os.path.basename(path)}"
        try:
            data = _content(path)
        except OSError as error:
            return Reading(None, (Problem(name, 0, 0, "file", "error", _why(error)),))
        held = self.secrets.held([data.decode("utf-8", "surrogateescape")]) if self.secrets is not None else []
        if held:
            said = f"it holds the value of the secret {' and '.join(held)}; stages are given secrets by their names"
            return Reading(None, (Problem(name, 0, 0, "secret", "error", said),))
        maker = self._pipeline.stages[stage].id
        if any(each.made_by == maker for each in self._pipeline.stages):
            if any(data == _content(other) for other in self._others(stage, path)):
                return Reading()
            said = "it holds other stages than those of an attempt before, which have joined this run"
            return Reading(None, (Problem(name, 0, 0, "generated", "error", said),))
        if is_recalled:
            with open(self.open(stage, 0), "wb") as copy:
                copy.write(data)
        return self._judged(data, name, maker)

    def _others(self, stage: int, path: str) -> list[str]:
        """What the stage has generated in this run until now, but for the file at a path."""
        stem, folder = state.log_stem(self._pipeline.stages[stage].id), os.path.join(self._directory, FOLDER)
        names = os.listdir(folder) if os.path.isdir(folder) else []
        paths = [os.path.join(folder, name) for name in names if name.rsplit(".", 2)[0] == stem]
        return [each for each in paths if each != path]

    def _judged(self, data: bytes, name: str, maker: str) -> Reading:
        from stagebook.formats.native import generated

        try:
            part = generated.read(data, name, self._pipeline, maker)
            if not part.stages:
                return Reading()
            whole, plan = extend(self._pipeline, self._plan, self._choice, part, maker)
            self._check(whole, plan)
        except (InputError, SurroundingsError) as refused:
            return Reading(None, tuple(problem._replace(file=name) for problem in refused.problems)
                           or (Problem(name, 0, 0, "generated", "error", str(refused)),))  # fmt: skip
        warnings = tuple(f"{maker}: {_said(problem)}" for problem in part.problems)
        text = json.dumps(to_plain(part._replace(problems=())), separators=(",", ":"))
        return Reading(Part(text, warnings))

    def _check(self, whole: Pipeline, plan: Plan) -> None:
        """What is asked of a whole pipeline before its run begins. Raises InputError, SurroundingsError."""
        known = len(self._pipeline.stages)
        added = whole.stages[known:]
        if any(stage.when is not None or stage.changed for stage in added):
            from stagebook.condition import expression

            wrong = expression.problems(whole)
            if wrong:
                raise InputError(wrong[0].message, wrong)
        if any(stage.requires for stage in added):
            from stagebook.engine import requires

            requires.check(whole, plan, range(known))
        if any(stage.secrets for stage in added):
            given = self.secrets.values if self.secrets is not None else {}
            lacking = [(stage, name) for stage in added for name in stage.secrets if name not in given]
            if lacking:
                stage, name = lacking[0]
                said = f"stage `{stage.id}` is given the secret {name}, which is not set"
                raise InputError(said, [Problem("", stage.line, stage.col, "secret", "error", said)])


def _name(stage: str, attempt: int) -> str:
    return f"{state.log_stem(stage)}.{attempt}.json"


def _content(path: str) -> bytes:
    """A regular file that no link led to, bounded. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if status.st_size > BYTES_MAX:
            raise OSError(errno.EFBIG, f"it has {status.st_size} bytes, the limit is {BYTES_MAX} (16 MiB)")
        return file.read(BYTES_MAX + 1)


def _why(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return f'it is not there; a stage that generates others writes them to ${VARIABLE}, or {{"stages": {{}}}}'
    if error.errno == errno.ELOOP:
        return "it is a link"
    return error.strerror or str(error)


def _said(problem: Problem) -> str:
    place = f":{problem.line}:{problem.col}" if problem.line else ""
    return f"{problem.file}{place}: {problem.message}"


def _reason(problems: tuple[Problem, ...]) -> str:
    more = f" (and {len(problems) - 1} more; see its log)" if len(problems) > 1 else ""
    return f"generated stages: {_said(problems[0])}{more}"
