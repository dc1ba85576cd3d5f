"""One process that stays in a slot and is handed items as lines of JSON, and the lines that it answers. Starts and ends
no process; what an answer means for an item is said, what follows from it is not known here.

A worker that answers what nobody can read, or more than a line may have, is of no use any more; so is one that has
grown. Answers come in the order of the items, and may name them. One too many says that those before it may have been
of other items, so it is never passed over.
"""

from __future__ import annotations

import json
import os
from collections import deque

from stagebook.engine.wakeup import Wakeup
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

LINE_MAX = 1 << 20  #: no answer is longer
ERROR_MAX = 500  #: of what a worker says of an item that went wrong so much is kept
GROWN_BYTES = 1 << 30  #: a worker of this size is replaced, where its step reserves no memory
LOOK_AFTER = 256  #: items after which its size is looked at
SURPLUS = "its worker answered more than it was asked"
_CHUNK = 1 << 18


class Answer(NamedTuple):
    """What a worker says of one item. `error` None: it went well. `warning` is what else is to be told, of a call."""

    item: int
    outputs: dict[str, str]
    error: str | None
    warning: str | None = None


class Worker:
    """`number` is that of the process among calls. `trouble` is why it is of no use any more."""

    __slots__ = (
        "_answers", "_asked", "_data", "_is_watched", "_out", "_wakeup", "_whole", "is_suspect", "left", "number",
        "pid", "served", "trouble",
    )  # fmt: skip

    def __init__(self, number: int, pid: int, asked: int, answers: int, wakeup: Wakeup, whole: bool) -> None:
        """`asked` and `answers` are our ends of its pipes; `whole`: a call is one line, and so is its answer."""
        self.number = number
        self.pid = pid
        self.left: deque[int] = deque()  #: the items of the call that it has not answered
        self.served = 0
        self.trouble: str | None = None
        self.is_suspect = False  #: it has been told that its answers may be of other items
        self._asked = asked
        self._answers = answers
        self._data = bytearray()
        self._out = bytearray()
        self._is_watched = False
        self._wakeup = wakeup
        self._whole = whole
        os.set_blocking(asked, False)
        os.set_blocking(answers, False)
        wakeup.watch(answers)

    @property
    def fds(self) -> tuple[int, int]:
        return self._asked, self._answers

    def ask(self, items: Sequence[int], lines: Sequence[str]) -> None:
        """Hand over the items of one call."""
        self.left.extend(items)
        said = f'{{"items":[{",".join(lines)}]}}\n' if self._whole else "\n".join(lines) + "\n"
        self._out += said.encode()
        self.write()

    def write(self) -> None:
        """As much as it takes now; the rest when there is room."""
        while self._out and self._asked >= 0:
            try:
                del self._out[: os.write(self._asked, self._out)]
            except BlockingIOError:
                break
            except OSError:
                self._out.clear()  # it has ended, or reads no more: its end says why
        if bool(self._out) is not self._is_watched and self._asked >= 0:
            self._is_watched = not self._is_watched
            if self._is_watched:
                self._wakeup.watch_room(self._asked)
            else:
                self._wakeup.forget(self._asked)

    def read(self) -> list[Answer]:
        """The answers that have come."""
        made: list[Answer] = []
        while self._answers >= 0:
            try:
                data = os.read(self._answers, _CHUNK)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self._wakeup.forget(self._answers)
                os.close(self._answers)
                self._answers = -1
                break
            if self.trouble is not None:
                continue  # nobody listens to it any more
            *lines, rest = (bytes(self._data) + data).split(b"\n")
            self._data = bytearray(rest)
            if lines:
                self._take(lines, made)
            if len(self._data) > LINE_MAX:
                self.trouble = "its worker answered with a line of more than 1 MiB"
            elif rest and not self.left and self.trouble is None:
                self.trouble = SURPLUS
            if len(data) < _CHUNK:
                break
        return made

    def _take(self, lines: list[bytes], made: list[Answer]) -> None:
        for line, said in zip(lines, _read(lines)):
            if not self.left:
                self.trouble = SURPLUS
                return
            number = said.get("number") if type(said) is dict else None
            if number is not None and number != self.left[0]:
                self.trouble = f"its worker answered item {str(number)[:20]} where item {self.left[0]} was due"
                return
            try:
                self._answer(said, made)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                shown = line[:60].decode("utf-8", "backslashreplace")
                self.trouble = f"its worker answered what is no answer: {shown}"
                return

    def _answer(self, said: Any, made: list[Answer]) -> None:
        is_well = said["ok"]
        if type(is_well) is not bool:
            raise ValueError
        outputs: Any = said.get("outputs") or ([] if self._whole else {})
        error = None if is_well else str(said.get("error") or "its worker gave no reason")[:ERROR_MAX]
        if self._whole:
            warning = said.get("warning")
            each_of = outputs if len(outputs) == len(self.left) else [{}] * len(self.left)
            made += [Answer(item, _texts(each), error, warning) for item, each in zip(self.left, each_of)]
            self.served += len(self.left)
            self.left.clear()
        else:
            made.append(Answer(self.left[0], _texts(outputs) if outputs else outputs, error, said.get("warning")))
            self.served += 1
            self.left.popleft()

    def has_grown(self, most: int) -> bool:
        """Whether it holds more than so many bytes of memory; looked at now and then."""
        if self.served < LOOK_AFTER:
            return False
        self.served = 0
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") > most
        except (OSError, IndexError, ValueError):
            return False

    def dismiss(self) -> None:
        """Nothing more is asked: it is to end by itself."""
        if self._is_watched:
            self._wakeup.forget(self._asked)
            self._is_watched = False
        if self._asked >= 0:
            os.close(self._asked)
            self._asked = -1

    def close(self) -> None:
        """Its process has ended."""
        self.dismiss()
        if self._answers >= 0:
            self._wakeup.forget(self._answers)
            os.close(self._answers)
            self._answers = -1


def _read(lines: list[bytes]) -> list[Any]:
    """The values of lines of JSON, None for what is none; all at once where they are."""
    try:
        said: list[Any] = json.loads(b"[%b]" % b",".join(lines))
        if len(said) == len(lines):
            return said
    except (ValueError, RecursionError):
        pass
    return [_read_one(line) for line in lines]


def _read_one(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _texts(outputs: Any) -> dict[str, str]:
    if type(outputs) is not dict:
        raise TypeError
    made = {str(name): value if type(value) is str else json.dumps(value) for name, value in outputs.items()}
    for value in made.values():
        if not value.isascii():
            value.encode("utf-8", "surrogateescape")  # half a character can be in no variable, and in no file
    return made
