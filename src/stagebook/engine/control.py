"""The engine's ear for other commands: a FIFO in the run's folder. One line is one request, a JSON object.

A FIFO needs no port, no pid and no signal, and is gone for writers the moment the engine is.
"""

from __future__ import annotations

import errno
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.scheduler.plan import Plan

NAME = "control"


class Control:
    """Reads requests. `fd` is None where a FIFO cannot be made."""

    def __init__(self, folder: str, ids: dict[str, int]) -> None:
        self._path = os.path.join(folder, NAME)
        self._ids = ids
        self.fd: int | None = None
        try:
            try:
                os.mkfifo(self._path, 0o600)
            except FileExistsError:
                pass
            # Open for writing too, so that the end of one asker is not the end of the pipe.
            self.fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            pass

    def read(self) -> list[dict[str, Any]]:
        """What is asked: objects with `ask` and perhaps `stage`, a text. Anything else written there is ignored."""
        assert self.fd is not None
        asked: list[dict[str, Any]] = []
        for line in os.read(self.fd, 1 << 16).splitlines():
            try:
                request = json.loads(line)
                if type(request["ask"]) is str and type(request.get("stage")) in (str, type(None)):
                    asked.append(request)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
        return asked

    def index(self, stage: str) -> int | None:
        return self._ids.get(stage)

    def grew(self, plan: Plan) -> None:
        """The run has further stages."""
        self._ids.update((stage.id, index) for index, stage in enumerate(plan.stages))

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
        try:
            os.unlink(self._path)
        except OSError:
            pass


def ask(folder: str, request: Mapping[str, object]) -> bool:
    """Write a request to the engine of a run; False if none listens."""
    try:
        fd = os.open(os.path.join(folder, NAME), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False
        raise
    try:
        os.write(fd, json.dumps(request).encode() + b"\n")
    finally:
        os.close(fd)
    return True
