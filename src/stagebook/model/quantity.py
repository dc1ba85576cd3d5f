"""Text to whole numbers: durations in milliseconds, sizes in bytes, cores in thousandths; shares; rates. No defaults.

Every function takes the text as the user wrote it and raises `ValueError` with a sentence that says what would be
right. Nothing is rounded: `0.0001s` is an error, not zero.
"""

from __future__ import annotations

import re

_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}

#: The longest duration, about ten years: beyond it stands a slip of the pen, and clocks would overflow.
DURATION_MAX_MS = 3_650 * 86_400_000
SIZE_MAX_BYTES = 2**60

#: Patterns that also stand in the JSON Schema, so they keep to what every dialect of regular expressions knows.
DURATION_PATTERN = (
    r"^([0-9]{1,15}(\.[0-9]{1,15})?(ms|s|m|h|d)|"
    r"[0-9]{1,15}(d([0-9]{1,15}h)?([0-9]{1,15}m)?([0-9]{1,15}s)?|h([0-9]{1,15}m)?([0-9]{1,15}s)?|m([0-9]{1,15}s)?|s)"
    r"([0-9]{1,15}ms)?)$"
)
SIZE_PATTERN = r"^[0-9]{1,19}(\.[0-9]{1,15})?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
SHARE_PATTERN = r"^(100(\.0{1,6})?|[0-9]{1,2}(\.[0-9]{1,6})?)%$"
RATE_PATTERN = r"^[1-9][0-9]{0,8}/(s|m|h|d)$"
CPU_PATTERN = r"^[0-9]{1,6}(\.[0-9]{1,3})?$"

#: Patterns stay text until something is held against them: to make them ready costs more than to read most files.
_PART = r"([0-9.]+)([a-z]+)"
_BARE = r"^[0-9]+(\.[0-9]+)?$"


def _whole(number: str, unit: int, text: str, of: str) -> int:
    """`number` × `unit` exactly, or a ValueError that names `of`, the smallest unit."""
    whole, _, decimals = number.partition(".")
    value, rest = divmod(int(whole + decimals) * unit, int("1" + "0" * len(decimals)))
    if rest:
        raise ValueError(f"`{text}` is no whole number of {of}")
    return value


def duration_ms(text: str) -> int:
    """`200ms`, `90s`, `1.5m`, `1h30m`, `2d` to milliseconds; ValueError for anything else, a bare number included."""
    if not re.fullmatch(DURATION_PATTERN, text):
        if re.fullmatch(_BARE, text):
            raise ValueError(f"`{text}` has no unit; write `{text}s` or `{text}m`")
        raise ValueError(f"`{_shorten(text)}` is no duration such as `200ms`, `90s`, `10m`, `1h30m` or `2d`")
    total = sum(_whole(number, _MS[unit], text, "milliseconds") for number, unit in re.findall(_PART, text))
    if total > DURATION_MAX_MS:
        raise ValueError(f"`{text}` is longer than 3650d")
    return total


def size_bytes(text: str) -> int:
    """`512MiB`, `2GB`, `1.5GiB` to bytes; ValueError for anything else, a bare number included."""
    if not re.fullmatch(SIZE_PATTERN, text):
        if re.fullmatch(_BARE, text):
            raise ValueError(f"`{text}` has no unit; write `{text}MiB` or `{text}GB`")
        raise ValueError(f"`{_shorten(text)}` is no size such as `512MiB` or `2GB`")
    number = text.rstrip("BKMGTik")
    value = _whole(number, _BYTES[text[len(number) :]], text, "bytes")
    if value > SIZE_MAX_BYTES:
        raise ValueError(f"`{text}` is more than 1048576TiB")
    return value


def size_text(size: int) -> str:
    """Bytes in the largest binary unit that keeps them whole: 2147483648 is `2GiB`, 1000 is `1000B`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


def share(text: str) -> float:
    """`80%` to 0.8; ValueError for anything outside 0 % to 100 %."""
    if not re.fullmatch(SHARE_PATTERN, text):
        if re.fullmatch(_BARE, text):
            percent = f"{float(text) * 100:g}" if float(text) <= 1 else text
            raise ValueError(f"`{text}` has no unit; write `{percent}%`")
        raise ValueError(f"`{_shorten(text)}` is no share such as `80%`, from 0% to 100%")
    return float(text[:-1]) / 100


def rate(text: str) -> tuple[int, int]:
    """`10/s` to (10, 1000): how many, in how many milliseconds; ValueError for anything else."""
    if not re.fullmatch(RATE_PATTERN, text):
        raise ValueError(f"`{_shorten(text)}` is no rate such as `10/s`, `5/m` or `100/h`")
    count, _, unit = text.partition("/")
    return int(count), _MS[unit]


def cpu_milli(text: str) -> int:
    """`2` or `0.5` cores to thousandths of a core, above 0; ValueError for anything else."""
    if not re.fullmatch(CPU_PATTERN, text):
        raise ValueError(f"`{_shorten(text)}` is no number of cores such as `2` or `0.5`, down to thousandths")
    value = _whole(text, 1_000, text, "thousandths of a core")
    if value == 0:
        raise ValueError(f"`{text}` cores are too few; leave the key out, or ask for more than 0")
    return value


def _shorten(text: str) -> str:
    """Text for a message: one line, at most 60 characters."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text[:200].split()))
    return line if len(line) <= 60 else line[:57] + "..."
