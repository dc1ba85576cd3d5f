"""What a job's process says of itself between the output of its steps. Text of others is made harmless first."""

from __future__ import annotations

import os
import re

_HARMFUL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def say(text: str) -> None:
    """One line, or several, in the job's log at once."""
    data = _HARMFUL.sub("\N{REPLACEMENT CHARACTER}", text).encode("utf-8", "replace") + b"\n"
    while data:
        data = data[os.write(1, data) :]
