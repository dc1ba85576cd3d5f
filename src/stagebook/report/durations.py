"""Numbers as people read them: durations, sizes, counts, ticks of a time axis, and ISO instants as microseconds.

Pure and cheap: it is on the run path. In a terminal a number and its unit are joined by a plain space, so that what
is printed can be searched for; a page passes `NO_BREAK`.
"""

from __future__ import annotations

NO_BREAK = "\u00a0"
THIN = "\u2009"
NOTHING = "–"

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def span_us(us: int, gap: str = " ") -> str:
    """Microseconds with two units at most: `640 ms`, `9.4 s`, `38 s`, `6 m 01 s`, `1 h 04 m`, `2 d 3 h`."""
    if us < 999_500:
        return f"{(us + 500) // 1000}{gap}ms"
    if us < 9_950_000:
        tenths = (us + 50_000) // 100_000
        whole, tenth = divmod(tenths, 10)
        return f"{whole}.{tenth}{gap}s" if tenth else f"{whole}{gap}s"
    return _coarse((us + 500_000) // SECOND, gap)


def span(seconds: float | None, gap: str = " ") -> str:
    """The same for seconds; None, which means unknown, is a dash."""
    if seconds is None:
        return NOTHING
    return span_us(round(seconds * SECOND), gap)


def _coarse(seconds: int, gap: str) -> str:
    if seconds < 60:
        return f"{seconds}{gap}s"
    if seconds < 3600:
        return f"{seconds // 60}{gap}m{gap}{seconds % 60:02d}{gap}s"
    minutes = (seconds + 30) // 60
    if minutes < 24 * 60:
        return f"{minutes // 60}{gap}h{gap}{minutes % 60:02d}{gap}m"
    hours = (seconds + 1800) // 3600
    return f"{hours // 24}{gap}d{gap}{hours % 24}{gap}h"


class Form:
    """How one column of durations is written, so that its entries can be compared: chosen by the longest of them.

    Zero and unknown are a dash.
    """

    __slots__ = ("longest_us",)

    def __init__(self, longest_us: int) -> None:
        self.longest_us = longest_us

    def text(self, us: int | None) -> str:
        if not us or us < 0:
            return NOTHING
        if self.longest_us < 999_500:
            return f"{us // 1000} ms" if us >= 1000 else "<1 ms"
        if self.longest_us < 9_950_000:
            tenths = (us + 50_000) // 100_000
            return f"{tenths // 10}.{tenths % 10} s" if tenths else "<0.1 s"
        return _coarse((us + 500_000) // SECOND, " ") if us >= 500_000 else "<1 s"


_STEPS_US = (
    *(unit * 10**power for power in range(3, 6) for unit in (1, 2, 5)),
    *(SECOND * n for n in (1, 2, 5, 10, 15, 30)),
    *(MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(HOUR * n for n in (1, 2, 3, 6, 12)),
    *(DAY * n for n in (1, 2, 5, 10, 20, 50, 100)),
)


def ticks(total_us: int, cells: int, room: int = 6) -> list[tuple[int, str]]:
    """Ticks of an axis of `cells` cells over `total_us`: (cell, label), at least `room` cells apart, 0 not included."""
    if total_us <= 0 or cells <= 0:
        return []
    for step in _STEPS_US:
        number = total_us // step
        if number > cells:
            continue
        labels = [(at, tick_label(at)) for at in range(step, total_us + 1, step)]
        widest = max([len(label) for _, label in labels], default=0) + 2
        if step * cells >= max(room, widest) * total_us:
            return [(at * cells // total_us, label) for at, label in labels]
    return []


def tick_label(us: int) -> str:
    if us < SECOND:
        return f"{us // 1000} ms"
    if us < MINUTE:
        return f"{us / SECOND:g} s"
    if us < HOUR:
        minutes, rest = divmod(us, MINUTE)
        return f"{minutes} m {rest // SECOND:02d} s" if rest else f"{minutes} m"
    if us < DAY:
        hours, rest = divmod(us, HOUR)
        return f"{hours} h {rest // MINUTE:02d} m" if rest else f"{hours} h"
    days, rest = divmod(us, DAY)
    return f"{days} d {rest // HOUR} h" if rest else f"{days} d"


def size(count: int | None, gap: str = " ") -> str:
    """Bytes in steps of 1024: `0 B`, `812 B`, `3.8 GiB`."""
    if count is None:
        return NOTHING
    if count < 1024:
        return f"{count}{gap}B"
    amount, unit = count / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if amount < 1023.5:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f}{gap}{unit}" if amount < 9.95 else f"{amount:.0f}{gap}{unit}"


def part(done: int, total: int) -> str:
    """`1.2 of 8.0 GiB`, `812 MiB of 8.0 GiB`."""
    amounts = size(done), size(total)
    units = [amount.partition(" ")[2] for amount in amounts]
    return f"{amounts[0].partition(' ')[0] if units[0] == units[1] else amounts[0]} of {amounts[1]}"


def count(number: int, gap: str = THIN) -> str:
    """A count with its thousands apart: `1 204`."""
    return f"{number:,}".replace(",", gap)


def plural(number: int, noun: str, many: str | None = None) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {many or noun + 's'}"


def instant_us(text: str) -> int:
    """Microseconds since 1970 of an ISO 8601 time with offset. `datetime` costs more to import than all of this room.

    Raises ValueError where the text is something else.
    """
    year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
    hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
    rest = text[19:]
    fraction = 0
    if rest[:1] == ".":
        digits = rest[1:]
        cut = len(digits)
        for mark in ("+", "-", "Z"):
            place = digits.find(mark)
            if 0 <= place < cut:
                cut = place
        fraction = int(digits[:cut].ljust(6, "0")[:6])
        rest = digits[cut:]
    offset = 0
    if rest not in ("", "Z"):
        offset = (int(rest[1:3]) * 60 + int(rest[-2:])) * (-60 if rest[0] == "-" else 60)
    # Days from civil, with years that begin in March so that the leap day is the last of them.
    shifted = year - (month <= 2)
    month_index = (month + 9) % 12
    days = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400 + (153 * month_index + 2) // 5 + day - 719_469
    return ((days * 24 + hour) * 3600 + minute * 60 + second - offset) * SECOND + fraction
