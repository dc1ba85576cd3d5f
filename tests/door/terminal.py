"""The command on a terminal of its own, of which a test sees every byte."""

from __future__ import annotations

import os
import pty
import re
import signal
import termios
from typing import Mapping

from tests.door import processes, waiting
from tests.door.place import Place


class Terminal:
    """The command on a terminal of its own, as the leader of a session."""

    def __init__(
        self, place: Place, *words: str, env: Mapping[str, str] | None = None, size: tuple[int, int] | None = None
    ) -> None:
        """`size` in columns and lines."""
        pid, self._fd = pty.fork()
        if pid == 0:
            if size is not None:
                termios.tcsetwinsize(0, (size[1], size[0]))
            os.chdir(place.folder)
            os.execve(place.command, [place.command, *words], {**place.env, "TERM": "xterm-256color", **(env or {})})
        self.pid = pid
        self.seen = b""
        os.set_blocking(self._fd, False)

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def text(self) -> str:
        """All that was ever shown, without what moves or colours it."""
        self._drain()
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.seen.decode(errors="replace"))

    @property
    def has_echo(self) -> bool:
        self._drain()
        return bool(termios.tcgetattr(self._fd)[3] & termios.ECHO)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def wait(self) -> int:
        """The exit status; negative for a signal."""

        def look() -> list[int]:
            self._drain()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return [os.waitstatus_to_exitcode(status)] if pid else []

        return waiting.until(look, "the command on the terminal ends")[0]

    def _drain(self) -> None:
        while self._fd >= 0:
            try:
                data = os.read(self._fd, 65536)
            except (BlockingIOError, OSError):
                return
            if not data:
                return
            self.seen += data

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *trouble: object) -> None:
        if trouble[0] is not None:
            processes.signal_to(self.pid, signal.SIGKILL)
        self.close()
