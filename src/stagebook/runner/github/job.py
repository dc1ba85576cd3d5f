"""One job, from its first step to its last."""

from __future__ import annotations

from stagebook.runner.here import Here


def play(here: Here) -> int:
    """The exit status of the job."""
    raise NotImplementedError
