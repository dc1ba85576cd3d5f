"""What the engine sleeps on: children, signals, and file descriptors, with one system call. Knows no stage.

That some child has ended is read from a signalfd, which costs neither a handler nor a descriptor for each child. Where
there is none, a handler for SIGCHLD tells it.
"""

from __future__ import annotations

import os
import select
import signal

from stagebook.engine import keeper, kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Wakeup:
    """Each signal is a byte on a pipe, so that none is lost between a look and the sleep. Python's own handlers would
    make one of two that come while it is at something that takes a moment."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._ear, mouth = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._mouth = mouth
        self._noted: list[int] = []
        self._has_children = False
        self._forgotten: set[int] = set()
        self.hurry: Callable[[], None] | None = None  #: called at once by a signal that asks to stop
        self._poll.register(self._ear, select.EPOLLIN)
        if keeper.channel is not None:
            self._poll.register(keeper.channel, select.EPOLLIN)
        self._before = {number: signal.getsignal(number) for number in (*STOPPING, signal.SIGCHLD)}
        signal.signal(signal.SIGCHLD, self._child)  # who started us may ignore it, and children would be lost
        self._bell = kernel.signal_descriptor(signal.SIGCHLD)
        if self._bell is not None:
            self._poll.register(self._bell, select.EPOLLIN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        for number in STOPPING:
            if self._before[number] is not signal.SIG_IGN:
                signal.signal(number, self._asked)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
        self._list: int | None = None
        try:
            self._list = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            pass

    def _child(self, number: int, frame: object) -> None:
        self._has_children = True

    def _asked(self, number: int, frame: object) -> None:
        if self.hurry is not None:
            self.hurry()

    def watch(self, fd: int) -> None:
        self._poll.register(fd, select.EPOLLIN)
        self._forgotten.discard(fd)

    def watch_room(self, fd: int) -> None:
        """Be woken when more can be written to it."""
        self._poll.register(fd, select.EPOLLOUT)
        self._forgotten.discard(fd)

    def forget(self, fd: int) -> None:
        self._poll.unregister(fd)
        self._forgotten.add(fd)

    def is_forgotten(self, fd: int) -> bool:
        """Whether it was forgotten since the last `wait`, which may have told of it before."""
        return fd in self._forgotten

    def wait(self, timeout: float) -> list[int]:
        """The descriptors that have something to read, after a signal, a child's end, or at most `timeout` seconds."""
        if self._has_children:
            timeout = 0
        ready = []
        self._forgotten.clear()
        for fd, _ in self._poll.poll(timeout):
            if fd == self._bell:
                self._has_children = True
                try:
                    os.read(fd, 4096)
                except BlockingIOError:
                    pass  # the kernel rang, and gave the signal to another thread, which a caller may have
            elif fd == self._ear:
                self._noted += [number for number in os.read(self._ear, 4096) if number in STOPPING]
            else:
                ready.append(fd)
        return ready

    def signals(self) -> list[int]:
        """Signals that ask to stop and have come by the last `wait`, in order."""
        noted, self._noted = self._noted, []
        return noted

    def has_children(self) -> bool:
        """Whether a child may have ended since the last call."""
        had, self._has_children = self._has_children, False
        return had

    def children(self) -> list[int]:
        """This process's children, as the kernel lists them."""
        if self._list is None:
            return []
        data = os.pread(self._list, 1 << 20, 0)
        return [int(pid) for pid in data.split()]

    def close(self) -> None:
        """Give the signals back."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._bell is not None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            os.close(self._bell)
        self._poll.close()
        os.close(self._ear)
        os.close(self._mouth)
        if self._list is not None:
            os.close(self._list)
