"""Work on files that takes long, in forked children: the loop sleeps on their pipes and never waits for a disk.

A child is a copy of the engine that does one piece of work, writes what came of it to its pipe, and is gone. Where that
takes longer than people like to wait, it writes before how far it is. It ends with the engine, closes whatever is not
its own, and is no stage: `pids` are told to whoever looks for strays. Knows nothing of artifacts.
"""

from __future__ import annotations

import gc
import os
import signal
import time

from stagebook.engine import kernel
from stagebook.engine.wakeup import Wakeup
from stagebook.model.value import NamedTuple
from stagebook.record import faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, TypeAlias

Work: TypeAlias = "Callable[[], Any]"

_CHUNK = 1 << 20
_RESULT = b"\0"  #: before what came of the work; before it are lines, `DONE TOTAL WHAT`
PATIENCE_S = 1.0  #: work that takes less is not spoken of
_AGAIN_S = 0.1


class Failed(Exception):
    """Why a child brought nothing: it was killed, or its work raised something."""


class Told(NamedTuple):
    """How far a child is: bytes, and what it does, such as `reading outputs`."""

    done: int
    total: int
    what: str


class Voice:
    """In a child: says how far the work is."""

    def __init__(self, mouth: int) -> None:
        self._mouth = mouth
        self._next = time.monotonic() + PATIENCE_S

    def on(self, what: str, total: Callable[[], int]) -> Callable[[int], None]:
        """To be called with the bytes done until now. How many there are in all is asked for once there is need."""
        known: int | None = None

        def progress(done: int) -> None:
            nonlocal known
            now = time.monotonic()
            if now < self._next:
                return
            self._next = now + _AGAIN_S
            if known is None:
                known = total()
            os.write(self._mouth, f"{done} {max(done, known)} {what}\n".encode())

        return progress


voice: Voice | None = None  #: in a child, its own


class _Child:
    __slots__ = ("data", "has_result", "has_told", "key", "pid", "pipe")

    def __init__(self, key: Any, pid: int, pipe: int) -> None:
        self.key = key
        self.pid = pid
        self.pipe = pipe
        self.data = bytearray()
        self.has_result = False
        self.has_told = False

    def take(self, data: bytes) -> Told | None:
        """What has come in; how far it says it is, if it does."""
        self.data += data
        told = None
        while self.data and not self.has_result:
            if self.data.startswith(_RESULT):
                self.has_result = True
                break
            line, end, rest = self.data.partition(b"\n")
            if not end:
                break
            done, total, what = line.decode().split(" ", 2)
            told = Told(int(done), int(total), what)
            self.data = rest
        return told


class Hasher:
    """At most `most` children at once; what is asked beyond that waits its turn. A key names one piece of work."""

    def __init__(self, wakeup: Wakeup, most: int) -> None:
        self.pids: set[int] = set()  #: children that are no stages
        #: Told how far the work of a key is, and None when that is over.
        self.heard: Callable[[Any, Told | None], None] = lambda key, told: None
        self._wakeup = wakeup
        self._most = max(1, most)
        self._children: dict[int, _Child] = {}
        self._queue: list[tuple[Any, Work]] = []

    @property
    def is_busy(self) -> bool:
        return bool(self._children or self._queue)

    def begin(self, key: Any, work: Work) -> list[tuple[Any, Any]]:
        """Have `work` done; what it gives comes back by `pump`, or at once where there can be no child."""
        self._queue.append((key, work))
        return self._go_on()

    def pump(self, fd: int) -> list[tuple[Any, Any]] | None:
        """Take what there is to read; None if the descriptor is none of ours. What has come to its end is given back,
        as key and result: what the work gave, or `Failed`."""
        child = self._children.get(fd)
        if child is None:
            return None
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return []
        if data:
            told = child.take(data)
            if told is not None:
                child.has_told = True
                self.heard(child.key, told)
            return []
        self._drop(child)
        return [(child.key, _result(child, _status(child.pid))), *self._go_on()]

    def stop(self, key: Any) -> list[tuple[Any, Any]]:
        """Nobody wants it any more. What has waited for its turn begins, and is given back as in `begin`."""
        self._queue = [entry for entry in self._queue if entry[0] != key]
        for child in [child for child in self._children.values() if child.key == key]:
            kill(child.pid)
            self._drop(child)
        return self._go_on()

    def close(self) -> None:
        self._queue.clear()
        for child in list(self._children.values()):
            self.stop(child.key)

    def _go_on(self) -> list[tuple[Any, Any]]:
        """Begin what waits for its turn. Where the system has no process to give, and none of ours will end, the work
        is done here."""
        finished: list[tuple[Any, Any]] = []
        while self._queue and len(self._children) < self._most:
            key, work = self._queue[0]
            try:
                self._fork(key, work)
            except OSError:
                if self._children:
                    return finished
                finished.append((key, done_here(work)))
            self._queue.pop(0)
        return finished

    def _fork(self, key: Any, work: Work) -> None:
        """Raises OSError."""
        parent = os.getpid()
        pipe, mouth = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            faults.hit("artifact.fork")
            pid = os.fork()
        except OSError:
            os.close(pipe)
            os.close(mouth)
            raise
        if not pid:
            _be_child(mouth, work, parent)
        os.close(mouth)
        lead(pid)
        self.pids.add(pid)
        self._children[pipe] = _Child(key, pid, pipe)
        self._wakeup.watch(pipe)

    def _drop(self, child: _Child) -> None:
        self._wakeup.forget(child.pipe)
        os.close(child.pipe)
        del self._children[child.pipe]
        self.pids.discard(child.pid)
        if child.has_told:
            self.heard(child.key, None)


def done_here(work: Work) -> Any:
    """What the work gives, or `Failed`, in this process."""
    try:
        return work()
    except OSError as error:
        text = error.strerror or str(error)
        return Failed(f"{os.fsdecode(error.filename)}: {text}" if error.filename else text)


def _result(child: _Child, status: int | None) -> Any:
    import pickle  # what comes of a fork of ourselves; few runs need it

    try:
        is_well, found = pickle.loads(memoryview(child.data)[len(_RESULT) :] if child.has_result else b"")
    except (EOFError, pickle.UnpicklingError):
        number = os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None
        return Failed(f"the process that hashed was ended by signal {number}" if number else "the hashing process died")
    return found if is_well else Failed(found)


def _status(pid: int) -> int | None:
    """How the child ended, unless whoever reaps stages was first. Its pipe is closed or it was killed, so it is about
    to end."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return None


def lead(pid: int) -> None:
    """A process group of its own, so that children of the child can be ended with it."""
    try:
        os.setpgid(pid, pid)
    except OSError:
        pass  # it is gone


def kill(pid: int) -> None:
    """End a child with its children, and see the last of them."""
    try:
        os.killpg(pid, signal.SIGKILL)
        while True:
            os.waitpid(-pid, 0)
    except (ChildProcessError, ProcessLookupError):
        pass


def _be_child(mouth: int, work: Work, parent: int) -> None:
    """In the child: never returns."""
    code = 1
    try:
        kernel.end_with_parent()
        lead(0)
        if os.getppid() == parent:
            global voice
            let_go(mouth)
            voice = Voice(mouth)
            try:
                answer = (True, work())
            except (OSError, MemoryError) as error:
                path = getattr(error, "filename", None)
                text = getattr(error, "strerror", None) or str(error) or type(error).__name__
                answer = (False, f"{os.fsdecode(path)}: {text}" if path else text)
            except Exception as error:
                answer = (False, f"{type(error).__name__}: {error}")
            import pickle

            data = memoryview(_RESULT + pickle.dumps(answer))
            while data:
                data = data[os.write(mouth, data) :]
            code = 0
    finally:
        os._exit(code)


def let_go(mouth: int) -> None:
    """Of the engine's signals and descriptors: locks, journals and pipes are not kept open by it."""
    gc.disable()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.set_blocking(mouth, True)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, mouth)
    os.closerange(mouth + 1, os.sysconf("SC_OPEN_MAX"))
