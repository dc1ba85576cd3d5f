"""The calls of the steps of one stage: a process for a call, or a worker that stays in its slot. What a call came to is
handed out, once each; what follows from it is the machine's.

An output name must be a variable's; a step's command sees those of earlier steps as `ITEM_NAME`. Where one is left out,
that is told once a step, with the reason. A call that went wrong leaves what it printed in a log of its own.
"""

from __future__ import annotations

import os
import sys
from collections import deque

from stagebook.engine.attempt import Attempt
from stagebook.engine.attempts import Attempts, Finished
from stagebook.engine.clock import Clock
from stagebook.engine.environment import variable
from stagebook.engine.items import runner
from stagebook.engine.items.kept import RESERVED, Kept
from stagebook.engine.items.logs import Logs
from stagebook.engine.items.worker import ERROR_MAX, GROWN_BYTES, SURPLUS, Answer, Worker
from stagebook.engine.spawn import Call as Handed
from stagebook.engine.spawn import CannotStart
from stagebook.engine.wakeup import Wakeup
from stagebook.model.pipeline import Stage, Step, Timeouts
from stagebook.record.cut import LOG_MAX
from stagebook.record.items import Bad, Call
from stagebook.record.state import item_log_name, log_name
from stagebook.scheduler.vocabulary import Kill, KillItems, StartItems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, Sequence

    from stagebook.engine.bound import Approved
    from stagebook.record.mask import Mask

EXCERPT_MAX = 1 << 20  #: of what a call printed that went wrong so much is kept beside the log
EXCERPTS_MAX = 64 << 20  #: of all together so much
EXCERPT_MIN = 1 << 12  #: and then of each no more
DISMISSED_US = 2_000_000  #: how long a worker may take to end by itself
DOUBT = "answers may have been taken for those of other items; let each name its item by `number`"
NO_LINE = "an item with a newline cannot be a line of $ITEMS; let the step have no `batch`"
WARNINGS_MAX = 20  #: of processes that calls left behind


class Work:
    """One step. `stage` is it as a stage of its own; `stays`: its processes are workers."""

    __slots__ = ("batch", "is_whole", "memory_bytes", "stage", "stays", "workers")

    def __init__(self, stage: Stage, step: Step) -> None:
        is_function = step.kind == "python"
        command = (sys.executable, runner.__file__, str(step.command)) if is_function else step.command
        self.stage = stage._replace(
            id=f"{stage.id}.{step.name}", line=step.line, kind="cmd" if is_function else step.kind, command=command,
            env={**stage.env, **step.env}, resources=step.resources, timeouts=Timeouts(), each=None, cmd_from={},
        )  # fmt: skip
        self.stays = is_function or step.worker
        self.workers = step.workers or 1
        self.batch = step.batch
        self.is_whole = is_function and step.batch > 1
        self.memory_bytes = step.resources.memory_bytes or GROWN_BYTES


class _Running:
    """A call under way."""

    __slots__ = ("answers", "attempt", "bad", "handed", "items", "log", "log_at", "number", "slot", "step", "us", "why")

    def __init__(self, start: StartItems, number: int, us: int, log: str, log_at: int) -> None:
        _, self.step, self.slot, self.items, self.attempt = start
        self.number = number
        self.us = us
        self.log = log
        self.log_at = log_at
        self.bad: list[Bad] = []
        self.handed: Sequence[int] = self.items  #: those that its process sees
        self.answers: list[Answer] = []  #: of a worker, which count once the call is over
        self.why: str | None = None


class Calls:
    """Those of one stage. `approved` is what people have approved before it."""

    approved: Sequence[Approved] = ()

    def __init__(
        self, stage: Stage, kept: Kept, attempts: Attempts, wakeup: Wakeup, clock: Clock, logs: str,
        numbers: Iterator[int], warn: Callable[[str], None], mask: Mask | None = None,
    ) -> None:  # fmt: skip
        """`numbers` gives numbers for calls that no stage has; `logs` is the directory of the logs."""
        assert stage.each is not None
        self.works = [Work(stage, step) for step in stage.each.steps]
        self.over: list[Call] = []  #: to be taken out by whoever tells of them
        self._grace_ms = stage.grace_ms
        self._kept = kept
        self._attempts = attempts
        self._wakeup = wakeup
        self._clock = clock
        self._logs = Logs(logs)
        self._excerpts_left = EXCERPTS_MAX
        self._numbers = numbers
        self._warn = warn
        self._warnings_left = WARNINGS_MAX
        self._told: set[tuple[int, str]] = set()  #: of outputs that are left out: step, and why
        self._mask = mask
        self._running: dict[tuple[int, int], _Running] = {}
        self._processes: dict[int, _Running] = {}  #: of calls that are a process, by its number
        self._workers: dict[tuple[int, int], Worker] = {}
        self._hired: dict[int, tuple[Worker, tuple[int, int]]] = {}  #: with their places, until they have ended
        self._by_fd: dict[int, Worker] = {}
        self._dismissed: dict[int, int] = {}  #: number of a worker that is to end, and when it is told so

    @property
    def look_at_us(self) -> int:
        due = min(self._dismissed.values(), default=1 << 62)
        return min(due, self._logs.look_at_us) if self.has_processes else due

    @property
    def has_processes(self) -> bool:
        return bool(self._processes or self._hired)

    def start(self, start: StartItems) -> None:
        """Begin a call. One that cannot be is over at once."""
        work = self.works[start.step]
        log = log_name(work.stage.id, start.slot + 1)
        running = _Running(start, 0, self._clock.us(), log, self._logs.size(log))
        if running.log_at > LOG_MAX:
            running.log_at -= self._logs.cut(log)
        self._running[start.step, start.slot] = running
        try:
            self._refuse_changed(running)
            if work.stays:
                self._ask(work, running)
            else:
                running.number = next(self._numbers)
                self._processes[running.number] = running
                env = self._one(running) if work.batch == 1 else self._many(running)
                output = self._kept.output(running.handed[0], running.step)
                call = Handed(output, {os.fsencode(name): os.fsencode(value) for name, value in env.items()})
                self._attempts.start_call(running.number, running.attempt, work.stage, log, call)
        except (CannotStart, OSError, ValueError) as error:
            self._processes.pop(running.number, None)
            text = str(error) if not isinstance(error, OSError) else (error.strerror or str(error))
            self._end(running, [Bad(item, "error", None, text) for item in running.items], 0)

    def _refuse_changed(self, running: _Running) -> None:
        """An item that is a file which people have approved must be that still. Raises ValueError."""
        for approved in self.approved:
            for item in running.items:
                why = approved.refusal(self._kept.items[item].text)
                if why is not None:
                    raise ValueError(why)

    def kill(self, decision: KillItems) -> None:
        """End a call; it is over as any other is, when its process has ended."""
        running = self._running.get((decision.step, decision.slot))
        if running is None:
            return
        running.why = running.why or decision.why
        worker = self._workers.get((decision.step, decision.slot))
        number = running.number if worker is None else worker.number
        self._attempts.kill(Kill(number, 1 if worker else running.attempt, decision.why, decision.now), self._grace_ms)

    def take(self, attempt: Attempt, end: Finished) -> bool:
        """The process of a call, or a worker, has ended; False if it is none of these."""
        for warning in end.warnings:
            self._say_warning(warning)
        cpu_us = 0
        if end.usage is not None and end.usage.cpu_user_s is not None:
            cpu_us = round((end.usage.cpu_user_s + (end.usage.cpu_system_s or 0)) * 1e6)
        running = self._processes.pop(attempt.stage, None)
        if running is not None:
            self._process_over(running, end, cpu_us)
            return True
        if attempt.stage not in self._hired:
            return False
        self._worker_over(*self._hired[attempt.stage], end, cpu_us)
        return True

    def pump(self, fd: int) -> bool:
        """A worker has said something, or has room to be asked; False if the descriptor is of none."""
        worker = self._by_fd.get(fd)
        if worker is None:
            return False
        worker.write()
        self._hear(worker)
        return True

    def look(self, us: int) -> None:
        """End workers that were to end by themselves and did not, and keep logs short."""
        if us >= self._logs.look_at_us and self.has_processes:
            self._look_at_logs(us)
        for number, due in list(self._dismissed.items()):
            if us >= due:
                self._attempts.kill(Kill(number, 1, "cancelled", False), self._grace_ms)
                self._dismissed[number] = us + FOREVER_US

    def _look_at_logs(self, us: int) -> None:
        calls = {running.log: running for running in self._running.values()}
        hired = [log_name(self.works[step].stage.id, slot + 1) for _, (step, slot) in self._hired.values()]
        for log, less in self._logs.look(us, [*calls, *hired]).items():
            if log in calls:
                calls[log].log_at = max(0, calls[log].log_at - less)

    def dismiss(self, now: bool = False) -> None:
        """No call comes any more: workers are to end."""
        for place in list(self._workers):
            self._dismiss(place)
        if now:
            for number in self._hired:
                self._attempts.kill(Kill(number, 1, "cancelled", True), 0)

    def _say_warning(self, text: str) -> None:
        if self._warnings_left > 0:
            self._warnings_left -= 1
            self._warn(text)

    # A process for a call -----------------------------------------------------------------------------------------

    def _one(self, running: _Running) -> dict[str, str]:
        (number,) = running.items
        outputs = self._kept.outputs(number, running.step)
        return {
            **{variable("ITEM_", name): value for name, value in outputs.items()},
            "ITEM": self._kept.items[number].text,
            "ITEM_DIR": self._kept.directory(number),
            "ITEM_NUMBER": str(number),
        }

    def _many(self, running: _Running) -> dict[str, str]:
        """Items of a batch are the lines of a file, and so are their directories. What cannot be a line fails alone."""
        texts = {number: self._kept.items[number].text for number in running.items}
        handed = [number for number, text in texts.items() if "\n" not in text]
        if not handed:
            raise ValueError(NO_LINE)
        running.bad = [Bad(number, "error", None, NO_LINE) for number in texts if number not in handed]
        running.handed = handed
        env = {"ITEM_NUMBER": str(handed[0])}
        files = {
            "ITEMS": [texts[number] for number in handed], "ITEM_DIRS": [self._kept.directory(each) for each in handed]
        }  # fmt: skip
        for name, lines in files.items():
            env[name] = f"{self._kept.folder}/{running.step}.{running.slot}.{name.lower()}"
            with open(env[name], "wb") as file:
                file.write(b"".join(os.fsencode(line) + b"\n" for line in lines))
        return env

    def _process_over(self, running: _Running, end: Finished, cpu_us: int) -> None:
        if end.outcome == "success":
            path = self._kept.output(running.handed[0], running.step)
            if os.path.exists(path):
                outputs = self._hidden(self._said(running.step, running.handed[0], path))
                for item in running.handed:
                    self._kept.say(item, running.step, outputs, item == running.handed[0] and not self._mask)
            self._end(running, running.bad, cpu_us)
            return
        self._kept.unsay(running.handed[0], running.step)
        for item in running.handed:
            self._excerpt(running, item)
        bad = [Bad(item, end.outcome, end.exit, end.reason) for item in running.handed]
        self._end(running, running.bad + bad, cpu_us)

    def _said(self, step: int, item: int, path: str) -> dict[str, str]:
        from stagebook.condition import outputs

        said, warnings = outputs.read(path)
        if warnings:
            self._left_out(step, item, "", warnings[0])
        return self._named(step, item, said)

    # A worker that stays ------------------------------------------------------------------------------------------

    def _ask(self, work: Work, running: _Running) -> None:
        place = running.step, running.slot
        worker = self._workers.get(place)
        if worker is not None and worker.has_grown(work.memory_bytes):
            self._dismiss(place)
            worker = None
        if worker is None:
            worker = self._hire(work, place, running.log)
            self._hire_behind(place)
        asked, step, attempt = self._kept.asked, running.step, running.attempt
        lines = [asked(number, step, attempt) for number in running.items]
        worker.ask(running.items, lines)

    def _hire_behind(self, place: tuple[int, int]) -> None:
        """Workers of later steps start with that of an earlier one: what is done by it shall not wait for a program to
        be loaded. One that cannot be started is started again for its call, which says why."""
        step, slot = place
        for later in range(step + 1, len(self.works)):
            work = self.works[later]
            if work.stays and slot < work.workers and (later, slot) not in self._workers:
                try:
                    self._hire(work, (later, slot), log_name(work.stage.id, slot + 1))
                except (CannotStart, OSError):
                    return

    def _hire(self, work: Work, place: tuple[int, int], log: str) -> Worker:
        number = next(self._numbers)
        theirs, asked = os.pipe2(os.O_CLOEXEC)
        answers, mouth = os.pipe2(os.O_CLOEXEC)
        try:
            handed = Handed(f"{self._kept.folder}/worker.{place[0]}.{place[1]}.out", {}, theirs, mouth)
            pid = self._attempts.start_call(number, 1, work.stage, log, handed)
        except BaseException:
            os.close(asked)
            os.close(answers)
            raise
        finally:
            os.close(theirs)
            os.close(mouth)
        worker = Worker(number, pid, asked, answers, self._wakeup, work.is_whole)
        self._workers[place] = worker
        self._hired[number] = worker, place
        self._by_fd.update(dict.fromkeys((asked, answers), worker))
        return worker

    def _hear(self, worker: Worker) -> None:
        fds = worker.fds
        answers = worker.read()
        if worker.fds != fds:
            self._by_fd.pop(fds[1], None)
        _, place = self._hired[worker.number]
        if self._workers.get(place) is worker:
            self._answered(worker, self._running.get(place), answers)
        if worker.trouble is not None:
            self._give_up(worker, place)

    def _give_up(self, worker: Worker, place: tuple[int, int]) -> None:
        """It is of no use any more. A call that it has is over when it has ended."""
        if worker.trouble == SURPLUS and not worker.is_suspect:
            worker.is_suspect = True
            self._say_warning(f"{self.works[place[0]].stage.id}: {SURPLUS}: {DOUBT}")
        if self._workers.get(place) is worker and place not in self._running:
            self._dismiss(place)
        self._attempts.kill(Kill(worker.number, 1, "cancelled", True), 0)

    def _answered(self, worker: Worker, running: _Running | None, answers: list[Answer]) -> None:
        if running is None:
            return
        running.answers += answers
        if not answers or worker.left:
            return
        if worker.trouble is not None:
            running.bad = [Bad(item, "failure", None, worker.trouble) for item in running.items]
            for item in running.items:
                self._excerpt(running, item)
        else:
            self._take_answers(running)
        self._end(running, running.bad, 0)

    def _take_answers(self, running: _Running) -> None:
        for item, outputs, error, warning in running.answers:
            if warning:
                self._left_out(running.step, item, "", str(warning)[:ERROR_MAX])
            if error is not None:
                text = self._mask.text(error) if self._mask else error
                running.bad.append(Bad(item, "failure", None, text))
                self._excerpt(running, item)
            elif outputs:
                self._kept.say(item, running.step, self._hidden(self._named(running.step, item, outputs)), False)

    def _worker_over(self, worker: Worker, place: tuple[int, int], end: Finished, cpu_us: int) -> None:
        """The first item that it has not answered is the one that it ended with; those behind it have to wait."""
        for fd in worker.fds:
            self._by_fd.pop(fd, None)
        self._hear(worker)
        worker.close()
        del self._hired[worker.number]
        self._dismissed.pop(worker.number, None)
        if self._workers.get(place) is not worker:
            return
        del self._workers[place]
        running = self._running.get(place)
        if running is None:
            return
        self._take_answers(running)
        left = deque(worker.left)
        if left:
            first = left.popleft()
            running.bad.append(Bad(first, *_end_of(worker, end, running.why)))
            self._excerpt(running, first)
        running.bad += [Bad(item, "error", None, "interrupted") for item in left]
        self._end(running, running.bad, cpu_us)

    def _dismiss(self, place: tuple[int, int]) -> None:
        worker = self._workers.pop(place)
        self._by_fd.pop(worker.fds[0], None)
        worker.dismiss()
        self._dismissed[worker.number] = self._clock.us() + DISMISSED_US

    # Of both ------------------------------------------------------------------------------------------------------

    def _end(self, running: _Running, bad: list[Bad], cpu_us: int) -> None:
        del self._running[running.step, running.slot]
        if self._logs.size(running.log) > LOG_MAX:
            self._logs.cut(running.log)
        wall_us = self._clock.us() - running.us
        self.over.append(Call(running.step, running.slot, running.items, wall_us, cpu_us, tuple(bad)))

    def _named(self, step: int, item: int, outputs: dict[str, str]) -> dict[str, str]:
        """Those that a later step can see."""
        named = {}
        for name, value in outputs.items():
            why = _wrong(name, value)
            if why is None:
                named[name] = value
            else:
                self._left_out(step, item, why, f"{why}, not {ascii(name)[:60]}")
        return named

    def _left_out(self, step: int, item: int, why: str, text: str) -> None:
        """Once a step and reason."""
        if (step, why) not in self._told:
            self._told.add((step, why))
            text = (
                f"{self.works[step].stage.id}: outputs of item {item} are left out: {text}; more like it are not told"
            )
            self._say_warning(self._mask.text(text) if self._mask else text)

    def _hidden(self, outputs: dict[str, str]) -> dict[str, str]:
        if not self._mask:
            return outputs
        return {name: self._mask.text(value) for name, value in outputs.items()}

    def _excerpt(self, running: _Running, item: int) -> None:
        """What a call has printed that went wrong, in a log of the item's own. Help for reading, and no record."""
        step, logs = self.works[running.step].stage.id, self._logs.directory
        most = EXCERPT_MAX if self._excerpts_left > EXCERPT_MAX else EXCERPT_MIN
        try:
            with open(f"{logs}/{running.log}", "rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(running.log_at, end - most))
                data = log.read(most)
            if data:
                self._excerpts_left -= len(data)
                with open(f"{logs}/{item_log_name(step, item)}", "wb") as file:
                    file.write(data)
        except OSError:
            pass


FOREVER_US = 1 << 60


def _wrong(name: str, value: str) -> str | None:
    """Why no variable can have that name, or hold that value."""
    if not (name.isascii() and name.isidentifier()):
        return "a name has letters, digits and _, and does not begin with a digit"
    if name.upper() in RESERVED:
        return f"ITEM_{name.upper()} is the item's own"
    if "\n" in value or "\0" in value:
        return "a value is one line without a NUL"
    return None


def _end_of(worker: Worker, end: Finished, why: str | None) -> tuple[str, int | None, str | None]:
    """Outcome, exit and reason of the item with which a worker ended."""
    if worker.trouble is not None and why is None:
        return "failure", None, worker.trouble
    if end.outcome == "success":
        return "failure", None, "its worker ended without an answer (exit 0)"
    if end.outcome in ("timeout", "cancellation"):
        return end.outcome, end.exit, end.reason
    return end.outcome, end.exit, f"its worker died: {end.reason}"
