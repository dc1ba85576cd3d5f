"""The process beside a run: follows its journal, tells who wants to know, and ends soon after the run has.

It holds nothing of the run: no lock, terminal, pipe or folder. What becomes of its messages stands in `notices.jsonl`,
whose lock keeps a second one from telling the same; a resumed run's waits for the one before it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time

from stagebook.model.plain import from_plain
from stagebook.model.problem import DefectError, InputError, SurroundingsError
from stagebook.notify import message, news
from stagebook.notify.allowance import Shared
from stagebook.notify.deliver import LIMIT, Deliveries, Delivery, line
from stagebook.notify.message import Occasion
from stagebook.notify.send import Sending, prepare
from stagebook.notify.tail import Tail
from stagebook.notify.targets import Circle, destination, mask_for
from stagebook.record import durations, lock, notices, runs, state
from stagebook.record.clock import epoch_us, stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

PAUSE_S = 0.03  #: a busy run writes all the time; so often is enough
LOOK_S = 5.0  #: how often it is asked whether the engine lives, where the kernel tells of its end
POLL_S = 0.25  #: and where it does not
FIRST_S = 30.0  #: how long the first line of a journal may take
LINGER_S = 120.0  #: how long after the run messages may be tried again
AT_ONCE = 4  #: messages under way
SOME = 2  #: messages that may each import for themselves what sends them
LONG_S = 10.0  #: a run that has gone on so long has time for that before there is a message
ALLOWANCE = "notices.json"


def main(directory: str, held: int) -> int:
    """Follow the run of a directory to its end, and to that of its messages. `held` is a descriptor of its
    `notices.jsonl`, as `notices.open_locked` gives it."""
    os.set_inheritable(held, False)
    os.chdir("/")
    fcntl.flock(held, fcntl.LOCK_EX)
    follower = Follower(directory, held)
    try:
        follower.run()
    except Exception as trouble:  # it is ours, and a run is never the worse for it; somebody should know
        follower.complain(f"{type(trouble).__name__}: {trouble}")
        return 5
    return 0


class Follower:
    """One run and its messages."""

    def __init__(self, directory: str, held: int) -> None:
        """`held` is the file of notices, locked."""
        self._directory = directory
        self._notices = held
        self._tail = Tail(state.journal_path(directory), news.EVENTS, os.path.join(directory, lock.NAME))
        self._news = news.News()
        self._circle: Circle | None = None
        self._deliveries: Deliveries | None = None
        self._sending: list[tuple[Delivery, Sending]] = []
        self._clock = (0.0, time.monotonic())  #: a time of the run, and when that was
        self._is_gone = False
        self._is_prepared = False

    def run(self) -> None:
        if not self._has_begun():
            return
        over_s: float | None = None
        while (deliveries := self._deliveries) is not None:  # else nobody is to be told
            self._look()
            self._tell()
            if not self._is_over:
                over_s = None
            elif over_s is None:
                over_s = time.monotonic()
                deliveries.close()
            self._step(deliveries)
            if over_s is not None and (deliveries.is_done or time.monotonic() > over_s + LINGER_S):
                for _, sending in self._sending:
                    sending.end()
                deliveries.give_up("there was no time left to try again")
                self._write({"at": _now(), "state": notices.SETTLED})
                return
            self._wait(deliveries)

    def complain(self, why: str) -> None:
        """Something that is no message's fault."""
        self._write({
            "at": _now(), "id": "follower", "event": "anything", "stages": [], "target": "nobody",
            "state": notices.FAILED, "attempts": 0, "error": f"a defect of Stagebook: {why}",
        })  # fmt: skip

    # What the run does ----------------------------------------------------------------------------------------

    def _has_begun(self) -> bool:
        """Wait for the first line of the journal."""
        end_s = time.monotonic() + FIRST_S
        while not self._news.is_begun and time.monotonic() < end_s:
            self._read()
            if not self._news.is_begun:
                self._tail.wait(PAUSE_S)
        return self._news.is_begun

    @property
    def _is_over(self) -> bool:
        """Whether the run has ended or its engine is gone. It may be gone on with while messages are tried again."""
        return self._is_gone or self._news.outcome is not None

    def _look(self) -> None:
        self._read()
        if not self._is_over and lock.holder(self._directory) is None:
            self._read()  # what was written last
            if not self._is_over:
                self._is_gone = True
                self._news.gone()

    def _read(self) -> None:
        for record in self._tail.read():
            if "plan" in record:
                self._begin(record)
            if record["event"] == "run.resumed":
                self._is_gone = False
            since_s = time.time() - epoch_us(record["at"]) / 1e6
            self._clock = (float(record["t"]) + max(0.0, since_s), time.monotonic())
            self._news.heard(record)

    def _begin(self, record: Mapping[str, Any]) -> None:
        """A pipeline, at the beginning or by a changed file."""
        pipeline = from_plain(record["plan"])
        if not pipeline.notify:
            self._deliveries = None
            return
        head = record if record["event"] == "run.started" else runs.first_line(self._directory)
        self._circle = Circle(self._directory, pipeline, head, self._circle)
        cache = os.path.join(os.path.dirname(os.path.dirname(self._directory)), "cache")
        if self._deliveries is None:
            names = {one.name: json.dumps([pipeline.file, one.to, one.command]) for one in pipeline.notify}
            allowance = Shared(os.path.join(cache, ALLOWANCE), names, time.time)
            self._deliveries = Deliveries(allowance, self._say, self._more)
        if self._circle.wants("sla-risk"):
            self._tail.want(news.STARTED)
            self._news.expect(pipeline, durations.load(cache, pipeline.file))

    def _now_s(self) -> float:
        at_s, then = self._clock
        return at_s + time.monotonic() - then

    # What is told of it ---------------------------------------------------------------------------------------

    def _tell(self) -> None:
        circle, deliveries = self._circle, self._deliveries
        found = self._news.due(self._now_s())
        if not found or circle is None or deliveries is None:
            return
        wanted = [one for one in found if circle.wants(one.event)]
        document = self._document() if wanted else None
        if document is None:
            return
        for occasion in wanted:
            for one, mine, said in circle.messages(occasion, document):
                deliveries.add(mine.event, mine.stages, one.name, said, _id(mine, one.name))

    def _document(self) -> dict[str, Any] | None:
        """The run as it stands, on disk before anybody hears of it."""
        for _ in range(5):
            try:
                return runs.document(self._directory)
            except (SurroundingsError, InputError, DefectError):
                time.sleep(0.2)  # a line that is being written, perhaps
        self.complain("its journal cannot be read")
        return None

    def _more(self, titles: list[str]) -> message.Message:
        assert self._circle is not None
        return message.more_message(self._circle.pipeline.name, titles, LIMIT, os.uname().nodename)

    # Messages under way ---------------------------------------------------------------------------------------

    def _step(self, deliveries: Deliveries) -> None:
        for one, sending in list(self._sending):
            result = sending.result()
            if result is not None:
                self._sending.remove((one, sending))
                deliveries.ended(one, self._hidden(one.target, result[0]), time.monotonic())
        while (begun := deliveries.begin(time.monotonic(), AT_ONCE)) is not None:
            self._send(begun, deliveries)

    def _send(self, one: Delivery, deliveries: Deliveries) -> None:
        circle = self._circle
        assert circle is not None
        target = next((each for each in circle.pipeline.notify if each.name == one.target), None)
        if target is None:
            deliveries.ended(one, "it is not in the file any more", time.monotonic(), is_final=True)
            return
        to = destination(target, circle.values, circle.folder, environment())
        if not to.command and not to.address:
            deliveries.ended(one, f"{target.variable} is not set", time.monotonic(), is_final=True)
            return
        if not to.command and deliveries.count > SOME:
            self._prepare()
        try:
            self._sending.append((one, Sending(to, one.message)))
        except OSError as error:
            deliveries.ended(one, f"no process for it: {error.strerror}", time.monotonic())

    def _prepare(self) -> None:
        """It takes a good half second, which is well spent where there is time, or there are many messages."""
        if not self._is_prepared:
            self._is_prepared = True
            prepare()

    def _hidden(self, target: str, text: str | None) -> str | None:
        circle = self._circle
        if text is None or circle is None:
            return text
        for one in circle.pipeline.notify:
            if one.name == target:
                return mask_for(one, circle.values).text(text)
        return text

    def _say(self, one: Delivery) -> None:
        self._write(line(one, _now()))

    def _write(self, record: dict[str, Any]) -> None:
        try:
            os.write(self._notices, json.dumps(record).encode() + b"\n")
        except OSError:
            pass  # the disk is full: messages go on

    def _wait(self, deliveries: Deliveries) -> None:
        now = time.monotonic()
        looks = [LOOK_S if self._tail.bell is not None else POLL_S, deliveries.due_s - now]
        looks += [sending.end_s - now for _, sending in self._sending]
        if not self._is_over:
            if self._now_s() > LONG_S and self._circle is not None and self._circle.has_addresses:
                self._prepare()
            looks.append(self._news.look_at_s - self._now_s())
            time.sleep(PAUSE_S)
        self._tail.wait(min(looks), [sending.fd for _, sending in self._sending])


def environment() -> dict[str, str]:
    """What a command is given: as the run has it, but for what says whose process this is."""
    from stagebook.engine.kernel import SPARED

    return {name: value for name, value in os.environ.items() if name != SPARED}


def _id(occasion: Occasion, target: str) -> str:
    return " ".join((occasion.about, occasion.event, target, *occasion.stages[:3]))


def _now() -> str:
    return stamp(time.time_ns() // 1000)
