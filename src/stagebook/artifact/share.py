"""Work on files that several forked children do, each a share, with their answers through pipes. What the work is: not
here.

A child that dies takes nothing with it but its share: that is told as trouble with the file it was at. A child whose
parent is gone ends.
"""

from __future__ import annotations

import marshal
import os
import signal

from stagebook.artifact.paths import Unsound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    Part = tuple[int, int]  #: the number of a path, and its bytes

#: Answers go out when so many files or bytes are done: seldom enough to cost nothing, and often enough to be watched.
_BATCH_FILES = 256
_BATCH_BYTES = 32 * 2**20
_LENGTH = 4

_parent = 0  #: in a child, who waits for it


def is_orphan() -> bool:
    """In a child: whether nobody waits for its answers any more."""
    return _parent != 0 and os.getppid() != _parent


def shared(
    shares: Sequence[Sequence[Part]],
    paths: Sequence[str],
    work: Callable[[int], Any],
    took: Callable[[Any], None],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Do `work` on each number of each share, in a child a share, and give all answers to `took`, in any order.

    Raises Unsound as `work` did, of the first in the order of the paths, or for the file at which a child died.
    """
    children: list[_Child] = []
    try:
        for share in shares:
            children.append(_Child(share, work))
        _gather(children, paths, took, progress)
    finally:
        for child in children:
            child.end()


class _Child:
    def __init__(self, share: Sequence[Part], work: Callable[[int], Any]) -> None:
        self.share = share
        self.answered = 0
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
            _work(mouth, parent, share, work)
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
            frame = marshal.loads(bytes(self._rest[_LENGTH : _LENGTH + length]))
            del self._rest[: _LENGTH + length]
            if isinstance(frame, tuple):
                self.trouble = frame
            else:
                answers += frame
        return answers

    def end(self) -> int:
        """Reap the child, which is ended if it is still at work; what `waitpid` says."""
        if self._pid == 0:
            return 0
        os.close(self.fd)
        pid, self._pid = self._pid, 0
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                os.kill(pid, signal.SIGKILL)
                return os.waitpid(pid, 0)[1]
        except ChildProcessError:
            pass  # whoever called reaps all children by himself
        return 0


def _gather(
    children: list[_Child],
    paths: Sequence[str],
    took: Callable[[Any], None],
    progress: Callable[[int, int], None] | None,
) -> None:
    import select

    poll = select.poll()
    by_fd = {child.fd: child for child in children}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    files = size = 0
    while by_fd:
        for fd, _ in poll.poll():
            child = by_fd[fd]
            answers = child.read()
            if answers is None:
                poll.unregister(fd)
                del by_fd[fd]
                if child.trouble is None and child.answered < len(child.share):
                    child.trouble = _death(child, paths)
                continue
            for answer in answers:
                took(answer)
            done = child.share[child.answered : child.answered + len(answers)]
            child.answered += len(answers)
            if progress is not None and done:
                files, size = files + len(done), size + sum(part[1] for part in done)
                progress(files, size)
    troubles = [child.trouble for child in children if child.trouble is not None]
    if troubles:
        _, path, why = min(troubles)
        raise Unsound(path, why)


def _death(child: _Child, paths: Sequence[str]) -> tuple[int, str, str]:
    """The answer of a child comes in its order, so it died at the first file without one, or a batch further on."""
    _, status = os.waitpid(child._pid, 0)
    child._pid = 0
    os.close(child.fd)
    number = child.share[child.answered][0]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS:
        return number, paths[number], "it shrank, or could not be read, while it was read"
    how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
    return number, paths[number], f"reading it ended early ({how})"


def _work(mouth: int, parent: int, share: Sequence[Part], work: Callable[[int], Any]) -> None:
    """The whole life of a child."""
    global _parent
    _parent = parent
    code = 1
    try:
        answers: list[Any] = []
        size = 0
        for number, length in share:
            if size + length > _BATCH_BYTES or len(answers) >= _BATCH_FILES:
                _say(mouth, answers)
                answers, size = [], 0
                if is_orphan():
                    os._exit(1)
            try:
                answers.append(work(number))
            except Unsound as trouble:
                _say(mouth, answers)
                _say(mouth, (number, trouble.path, trouble.why))
                os._exit(0)
            size += length
        _say(mouth, answers)
        code = 0
    finally:
        os._exit(code)


def _say(mouth: int, frame: Any) -> None:
    data = marshal.dumps(frame)
    data = len(data).to_bytes(_LENGTH, "big") + data
    view = memoryview(data)
    while view:
        view = view[os.write(mouth, view) :]
