"""Starts the process beside a run, and asks it at the end whether all is told. On the run path: imports little.

It is in a session of its own, with no descriptor of ours, and is spared when what stages left behind is ended; so it
may outlive the run by as long as messages may be tried again.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from time import monotonic

from stagebook.engine import kernel
from stagebook.record import notices, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.record.story import Story

WAIT_MAX_S = 1.0  #: how long a run waits at its end for what is still to be told,
WAIT_SHARE = 0.05  #: or so much of the time it took, whichever is less
_LOOK_S = 0.01


class Beside:
    """The process beside one run."""

    def __init__(self, directory: str) -> None:
        """Starts it; why it could not be is `warning`."""
        self._directory = directory
        self._begun_s = monotonic()
        self._since = notices.size(directory)
        self._pid = 0
        self.warning: str | None = None
        environ = dict(os.environ)
        if kernel.spared_as:
            environ[kernel.SPARED] = kernel.spared_as
        nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)
        try:
            held = notices.open_locked(directory)
        except OSError as error:
            self.warning = f"nobody is told of this run: {notices.path(directory)}: {error.strerror}"
            return
        words = [sys.executable, "-P", "-m", "stagebook.notify", directory, str(held)]
        kept = (os.POSIX_SPAWN_DUP2, held, held)  # to itself: it is not closed in what is started
        try:
            self._pid = os.posix_spawn(
                sys.executable, words, environ,
                file_actions=(nothing, (os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2), kept),
                setsid=True, setsigmask=(), setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD),
            )  # fmt: skip
        except OSError as error:
            self.warning = f"nobody is told of this run: {error.strerror}"
        finally:
            os.close(held)

    def settle(self, story: Story) -> list[dict[str, Any]]:
        """What became of the messages about a run that is over, as its document has them, after a moment for the
        last ones; of what did not arrive the story is warned."""
        took_s = monotonic() - self._begun_s if story.end_us is None else story.end_us / 1e6
        is_settled = self._wait(monotonic() + min(WAIT_MAX_S, WAIT_SHARE * took_s))
        told = notices.read(self._directory)
        said = notices.warnings(told, story.run)
        if self.warning is not None:
            said.append(self.warning)
        elif not said and not is_settled and story.outcome != "success":
            said.append(f"messages about this are on the way; stagebook show {story.run} says what became of them")
        for warning in said:
            story.warn(warning)
        return notices.document(told)

    def _wait(self, end_s: float) -> bool:
        """Until all is told, or given up, or so long; whether it is."""
        while self._pid:
            is_over = monotonic() >= end_s or self._has_ended()
            if notices.is_settled(self._directory, self._since):
                return True
            if is_over:
                break
            select.select((), (), (), _LOOK_S)
        return False

    def _has_ended(self) -> bool:
        try:
            return os.waitpid(self._pid, os.WNOHANG)[0] == self._pid
        except ChildProcessError:
            return True


def beside(directory: str) -> Beside | None:
    """The process beside the run of a directory; None for a run of an experiment, of which nobody is told."""
    return None if os.environ.get(state.EXPERIMENT_VARIABLE) else Beside(directory)
