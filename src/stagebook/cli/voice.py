"""What commands that ask the history say meanwhile, on standard error: what was done otherwise than usual, and how far
reading is where it takes longer than one would wait in silence. Also how moments are written on a command line."""

from __future__ import annotations

import sys
import time

from stagebook.cli import output
from stagebook.cli.words import usage_error
from stagebook.model.quantity import duration_ms
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from stagebook.history.store import Voice

QUIET_S = 1.0
_FORMS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")


def voice(args: Any) -> Voice:
    """The notes are said with `--quiet` too: they tell that an answer is not all that it could be. Reports that were
    not read to their end are told with `--verbose`."""
    from stagebook.history.store import Voice

    return Voice(note, None if args.quiet else progress("read", "journals"), note if args.verbose else None)


def note(text: str) -> None:
    style = output.style_for(sys.stderr)
    output.say([style.plain(f"note: {harmless(text)}")], sys.stderr)


def progress(verb: str, things: str) -> Callable[[int, int], None]:
    """`read 1200 of 9000 journals`, once a second at most, and not in the first second of reading."""
    next_s: float | None = None

    def tell(done: int, total: int) -> None:
        nonlocal next_s
        if next_s is None:
            next_s = time.monotonic() + QUIET_S
        elif time.monotonic() >= next_s:
            next_s = time.monotonic() + QUIET_S
            output.say([f"{verb} {done} of {total} {things}"], sys.stderr)

    return tell


def moment_us(option: str, text: str, now_us: int, whole_day: bool = False) -> int:
    """Microseconds since 1970 of `7d`, which is so long ago, or of a local date or time. With `whole_day` a date means
    its end. Raises InputError."""
    try:
        return now_us - duration_ms(text) * 1000
    except ValueError:
        pass
    for form in _FORMS:
        try:
            parts = time.strptime(text, form)
            if form == _FORMS[0] and whole_day:
                return round(time.mktime((parts[0], parts[1], parts[2] + 1, 0, 0, 0, 0, 0, -1)) * 1_000_000)
            return round(time.mktime((*parts[:8], -1)) * 1_000_000)
        except (ValueError, OverflowError):
            continue
    raise usage_error(f"{option} '{text}' is neither a duration such as `7d` nor a date such as `2026-11-25`")
