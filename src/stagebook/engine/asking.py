"""Asks the engine that holds a run, or does without one: until the journal says that it has heard, or nobody holds the
run any more. What is asked, and what is done where there is no engine, whoever asks says (`cancel`, `approve`).
"""

from __future__ import annotations

import os
import select
from time import monotonic

from stagebook.engine import control
from stagebook.model.problem import SurroundingsError
from stagebook.record import faults, lock, state
from stagebook.record.line import BrokenLine, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, TypeVar

    Answer = TypeVar("Answer")

ANSWER_S = 5.0  #: how long an engine may take to put the request into its journal
_LOOK_S = 0.01


def ask(
    directory: str,
    request: dict[str, object],
    heard: Callable[[dict[str, Any]], Answer | None],
    alone: Callable[[News], Answer],
) -> Answer:
    """Send a request to the engine of the run in this directory, once.

    `heard` is given the lines that come to the journal, and says what the one that answers means; `alone` is called
    with the run's lock held, where no engine has it. Raises what these raise, and SurroundingsError for an engine that
    does not answer.
    """
    deadline = monotonic() + ANSWER_S
    news = News(directory)
    is_asked = False
    while True:
        is_asked = is_asked or control.ask(directory, request)
        for record in news.read():
            answer = heard(record)
            if answer is not None:
                return answer
        faults.hit("ask.wait")
        holder = lock.holder(directory)
        if holder is None:
            try:
                held = lock.take(directory)
            except SurroundingsError:
                continue  # an engine has just begun to go on with it
            try:
                return alone(news)
            finally:
                lock.release(held)
        if monotonic() > deadline:
            raise SurroundingsError(
                f"the engine of run {os.path.basename(directory)} (pid {holder}) has not answered in {ANSWER_S:.0f} s"
            )
        select.select((), (), (), _LOOK_S)


class News:
    """The lines that come to a journal from now on."""

    def __init__(self, directory: str) -> None:
        self._path = state.journal_path(directory)
        self._at = os.stat(self._path).st_size
        self._rest = b""

    def read(self) -> Iterator[dict[str, Any]]:
        with open(self._path, "rb") as file:
            file.seek(self._at)
            data = file.read()
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                yield decode(line)
            except BrokenLine:
                continue  # the rest of a line that was half there when we began
