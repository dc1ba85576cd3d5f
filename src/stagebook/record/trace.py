"""Who is who in a trace (W3C Trace Context): the ids of a run, of its stages and of their attempts. Sends nothing.

The ids follow from the run's own, so what a stage was told while it ran and what is exported of it afterwards agree,
without a word of it in the journal but the caller's.
"""

from __future__ import annotations

import re

from stagebook.model.value import NamedTuple

try:
    from _blake2 import blake2b  # hashlib would load OpenSSL, which costs more than a stage
except ImportError:  # an interpreter without the extension under that name
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

VARIABLE = "TRACEPARENT"
SAMPLED = 1
#: Text until there is something to hold it against: most runs have no caller.
_PARENT = r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"


class Trace(NamedTuple):
    """The trace that a run is part of. `parent` is the caller's span, None where the run is the root of its own."""

    id: str
    parent: str | None = None
    flags: str = "01"

    @property
    def is_sampled(self) -> bool:
        return bool(int(self.flags, 16) & SAMPLED)


def caller(environ: Mapping[str, str]) -> str | None:
    """The caller's `TRACEPARENT` if it is one."""
    value = environ.get(VARIABLE)
    return value if value and re.fullmatch(_PARENT, value) else None


def of_run(run: str, traceparent: str | None) -> Trace:
    """The caller's trace, or one of the run's own: a ULID holds just the 16 bytes of a trace id."""
    match = re.fullmatch(_PARENT, traceparent) if traceparent else None
    if match is not None:
        return Trace(*match.groups())
    number = 0
    for character in run:
        number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".find(character)
    return Trace(f"{number & (1 << 128) - 1:032x}")


def span(run: str, stage: str = "", attempt: int = 0) -> str:
    """The id of the span of an attempt; without one of its stage, and without that of the run itself."""
    text = f"{run}\0{stage}\0{attempt}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def traceparent(trace: Trace, span_id: str) -> str:
    return f"00-{trace.id}-{span_id}-{trace.flags}"
