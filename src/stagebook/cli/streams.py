"""Standard output and error where they are not as they should be: gone, full, nobody there who reads. What is said on
them is for `output` and `trouble`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO


def complain(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        give_up(sys.stderr)  # the terminal is gone, and with it everybody who could have read this


def give_up(stream: IO[str]) -> None:
    """What is still buffered goes nowhere, so that Python's own flush at exit has nothing to complain of."""
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, stream.fileno())
        os.close(sink)
        stream.flush()
    except (OSError, ValueError):
        pass
