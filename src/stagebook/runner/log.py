"""What a job's process says of itself between the output of its steps. Text of others is made harmless first."""

from __future__ import annotations

import os
import re

from stagebook.record import state

UNABLE = 70  #: EX_SOFTWARE; the engine takes it for this only where it is said why
_HARMFUL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def unable(output: str, why: object) -> int:
    """Say that the job cannot be done, and why: in its log, and beside its output for the engine. The exit status."""
    say(f"ERROR: {why}")
    with open(state.unable_path(output), "w", encoding="utf-8", errors="replace") as file:
        file.write(str(why))
    return UNABLE


def warn(output: str, text: str) -> None:
    """Say something in the job's log and, beside its output, for the whole run."""
    say(f"WARNING: {text}")
    with open(state.warning_path(output), "w", encoding="utf-8", errors="replace") as file:
        file.write(text)


def say(text: str) -> None:
    """One line, or several, in the job's log at once."""
    data = _HARMFUL.sub("\N{REPLACEMENT CHARACTER}", text).encode("utf-8", "replace") + b"\n"
    while data:
        data = data[os.write(1, data) :]
