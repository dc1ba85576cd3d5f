"""Work on files that several forked children do, each a share, with their answers through pipes. What the work is: not
here.

A child that dies takes nothing with it but its share: that is told as trouble with the file it was at. A child whose
parent is gone ends.
"""

from __future__ import annotations

import gc
import marshal
import os
import signal
import time

from stagebook.artifact.paths import Unsound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

#: Answers go out when there are so many, or the first is so old: that costs little, and can be watched.
_ANSWERS_MAX = 256
_AGE_S = 0.05
_LENGTH = 4


class Life:
    """What a child has to do beside its work."""

    def __init__(self, mouth: int, parent: int) -> None:
        self._mouth = mouth
        self._parent = parent
        self._answers: list[Any] = []
        self._at = time.monotonic()

    @property
    def is_orphan(self) -> bool:
        """Whether nobody waits for answers any more."""
        return os.getppid() != self._parent

    def answer(self, answer: Any) -> None:
        self._answers.append(answer)
        if len(self._answers) >= _ANSWERS_MAX or time.monotonic() > self._at + _AGE_S:
            self.flush()

    def flush(self) -> None:
        """Say what has been answered. Before something that may end the process: so it is known what it was at."""
        self._say(self._answers)
        self._answers = []
        self._at = time.monotonic()

    def part(self, done: int) -> None:
        """So much of what is worked on has been done."""
        self._say(done)

    def give_up(self, number: int, trouble: Unsound) -> None:
        self.flush()
        self._say((number, trouble.path, trouble.why))

    def _say(self, frame: Any) -> None:
        data = marshal.dumps(frame)
        view = memoryview(len(data).to_bytes(_LENGTH, "big") + data)
        while view:
            view = view[os.write(self._mouth, view) :]


here: Life | None = None  #: in a child, its own


def shared(
    shares: Sequence[Sequence[int]],
    paths: Sequence[str],
    work: Callable[[str], Any],
    took: Callable[[int, Any], None],
    told: Callable[[int], None],
) -> None:
    """Do `work` on the path of each number of each share, in a child a share; answers go to `took`, in any order.

    Whenever something was heard, `told` is told how much has been done of what has no answer yet.

    Raises Unsound as `work` did, of the first in the order of the paths, or for the file at which a child died.
    """
    children: list[_Child] = []
    try:
        for share in shares:
            children.append(_Child(share, paths, work))
        _gather(children, paths, took, told)
    finally:
        for child in children:
            child.end()


class _Child:
    def __init__(self, share: Sequence[int], paths: Sequence[str], work: Callable[[str], Any]) -> None:
        self.share = share
        self.answered = 0
        self.part = 0
        self.trouble: tuple[int, str, str] | None = None
        self._rest = bytearray()
        self.fd, mouth = os.pipe()
        parent = os.getpid()
        try:
            self._pid = os.fork()
        except OSError as error:
            os.close(self.fd)
            os.close(mouth)
            raise Unsound(".", f"no process to read it with: {error.strerror}") from None
        if self._pid == 0:
            os.close(self.fd)
            _work(mouth, parent, share, paths, work)
        os.close(mouth)

    def read(self) -> list[Any] | None:
        """What has come in, as answers; None at the end."""
        data = os.read(self.fd, 1 << 20)
        if not data:
            return None
        self._rest += data
        answers: list[Any] = []
        while len(self._rest) >= _LENGTH:
            length = int.from_bytes(self._rest[:_LENGTH], "big")
            if len(self._rest) < _LENGTH + length:
                break
            frame = marshal.loads(memoryview(self._rest)[_LENGTH : _LENGTH + length].tobytes())
            del self._rest[: _LENGTH + length]
            if isinstance(frame, tuple):
                self.trouble = frame
            elif isinstance(frame, int):
                self.part = frame
            else:
                self.part = 0
                answers += frame
        return answers

    def end(self) -> int:
        """Reap the child, which is ended if it is still at work; what `waitpid` says."""
        if self._pid == 0:
            return 0
        pid, self._pid = self._pid, 0
        os.close(self.fd)
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended == 0:
                os.kill(pid, signal.SIGKILL)
                ended, status = os.waitpid(pid, 0)
        except ChildProcessError:
            return 0  # whoever called reaps all children by himself
        return status

    def death(self, paths: Sequence[str]) -> tuple[int, str, str]:
        """It died at the first file without an answer, or one that was to be answered together with that."""
        try:
            status = os.waitpid(self._pid, 0)[1]
        except ChildProcessError:
            status = 0
        self._pid = 0
        os.close(self.fd)
        number = self.share[self.answered]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS:
            return number, paths[number], "it shrank while it was read"
        how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        return number, paths[number], f"the process that read it died ({how})"


def _gather(
    children: list[_Child], paths: Sequence[str], took: Callable[[int, Any], None], told: Callable[[int], None]
) -> None:  # fmt: skip
    import select

    poll = select.poll()
    by_fd = {child.fd: child for child in children}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    while by_fd:
        for fd, _ in poll.poll():
            child = by_fd[fd]
            answers = child.read()
            if answers is None:
                poll.unregister(fd)
                del by_fd[fd]
                if child.trouble is None and child.answered < len(child.share):
                    child.trouble = child.death(paths)
                continue
            for answer in answers:
                took(child.share[child.answered], answer)
                child.answered += 1
            told(sum(child.part for child in children))
    troubles = [child.trouble for child in children if child.trouble is not None]
    if troubles:
        _, path, why = min(troubles)
        raise Unsound(path, why)


def _work(mouth: int, parent: int, share: Sequence[int], paths: Sequence[str], work: Callable[[str], Any]) -> None:
    """All that a child does: it never returns."""
    global here
    code = 1
    try:
        gc.disable()
        here = life = Life(mouth, parent)
        for number in share:
            try:
                life.answer(work(paths[number]))
            except Unsound as trouble:
                life.give_up(number, trouble)
                break
        else:
            life.flush()
        code = 0
    finally:
        os._exit(code)
