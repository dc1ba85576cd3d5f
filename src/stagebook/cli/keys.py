"""Single keys from the terminal while a run is watched, and the terminal as it was afterwards."""

from __future__ import annotations

import os
import sys
from typing import Any


class Keys:
    """`fd` is where keys come from, None where there is no terminal of ours. Interrupt keys keep their meaning.

    A run in the background is not given the terminal: to take it would stop the whole group.
    """

    def __init__(self) -> None:
        self.fd: int | None = None
        self._saved: list[Any] | None = None
        try:
            fd = sys.stdin.fileno() if sys.stdin is not None else -1
            if fd < 0 or not os.isatty(fd) or os.tcgetpgrp(fd) != os.getpgrp():
                return
            import termios

            self._saved = termios.tcgetattr(fd)
            now = termios.tcgetattr(fd)
            now[3] &= ~(termios.ICANON | termios.ECHO)
            now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0
            termios.tcsetattr(fd, termios.TCSADRAIN, now)
            self.fd = fd
        except (OSError, ValueError, ImportError):
            self._saved = None

    def close(self) -> None:
        """Give the terminal back; may be called twice."""
        if self.fd is None or self._saved is None:
            return
        import signal
        import termios

        # Were the run moved to the background meanwhile, setting the terminal would stop it here.
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        try:
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self._saved)
        except (OSError, termios.error):
            pass
        finally:
            signal.signal(signal.SIGTTOU, before)
            self._saved = None
