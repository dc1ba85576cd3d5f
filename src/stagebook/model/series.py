"""Text to a series of items: `2026-01-01..2026-01-31`, `1..100`, `north, south`. Knows no clock and no locale.

Days are counted in the proleptic Gregorian calendar from 1 March of the year 0, so that a leap day is the last of its
year (E. G. Richards, *Mapping Time*, 1998).
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

EXPECTED = "a range such as `2026-01-01..2026-01-31` or `1..100`, or values with commas between them"
_MARCH = (0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337)  #: days before each month, from March on


class Part(NamedTuple):
    """A value as it is (`text`), or all from `first` to `last`, whole numbers or days."""

    text: str | None = None
    first: int = 0
    last: int = 0
    is_days: bool = False

    @property
    def size(self) -> int:
        return 1 if self.text is not None else self.last - self.first + 1

    def item(self, index: int) -> str:
        if self.text is not None:
            return self.text
        return date_of(self.first + index) if self.is_days else str(self.first + index)


def series(text: str) -> tuple[Part, ...]:
    """The parts of it, of which there is at least one. Raises ValueError with a sentence."""
    return tuple([_part(word.strip()) for word in text.split(",")])


def items(parts: tuple[Part, ...], after: int) -> Iterator[str]:
    """All items but the first `after`."""
    for part in parts:
        for index in range(after, part.size):
            yield part.item(index)
        after = max(0, after - part.size)


def day_of(text: str) -> int | None:
    """The number of a day that is written as `2026-01-31`; None where there is no such day."""
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        return None
    digits = text[:4] + text[5:7] + text[8:]
    if not (digits.isascii() and digits.isdecimal()):
        return None
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:])
    if not 1 <= month <= 12:
        return None
    number = _day(year, month, day)
    return number if date_of(number) == text else None


def date_of(day: int) -> str:
    """The other way round."""
    year = day * 400 // 146_097
    while _start(year + 1) <= day:
        year += 1
    while _start(year) > day:
        year -= 1
    rest = day - _start(year)
    month = next(month for month in range(11, -1, -1) if _MARCH[month] <= rest)
    return f"{year + (month >= 10):04d}-{(month + 2) % 12 + 1:02d}-{rest - _MARCH[month] + 1:02d}"


def _start(year: int) -> int:
    """Of 1 March."""
    return year * 365 + year // 4 - year // 100 + year // 400


def _day(year: int, month: int, day: int) -> int:
    from_march = (month - 3) % 12
    return _start(year - (from_march >= 10)) + _MARCH[from_march] + day - 1


def _part(word: str) -> Part:
    if not word:
        raise ValueError(f"one of its values is empty; {EXPECTED} expected")
    begin, dots, end = word.partition("..")
    if not dots:
        return Part(word)
    first, last = day_of(begin), day_of(end)
    is_days = first is not None and last is not None
    if not is_days:
        first, last = _number(begin), _number(end)
    if first is None or last is None:
        raise ValueError(f"`{word[:80]}` is no range of whole numbers, nor of days that there are; {EXPECTED} expected")
    if first > last:
        raise ValueError(f"the range from {begin} to {end} holds nothing")
    return Part(None, first, last, is_days)


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 19 else None
