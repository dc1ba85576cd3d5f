"""What the words of `stagebook plan` mean: job counts, what to suppose, how runs arrive. Reads no file."""

from __future__ import annotations

from stagebook.cli.words import usage_error
from stagebook.model import quantity
from stagebook.plan.whatif import STAGES_MAX, Asked, Retimed, Scaled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.model.pipeline import Pipeline

JOBS_MAX = 100_000
COUNTS_MAX = 100  #: job counts in one sweep
RUNNERS_MAX = 10_000
FACTOR_MAX = 1_000_000.0
RATE_MIN, RATE_MAX = 0.001, 1_000_000.0  #: runs an hour
_HOUR_MS = 3_600_000


def jobs(text: str | None) -> list[int]:
    """Ascending, each once; empty for None. InputError, as from all here, for other words."""
    if text is None:
        return []
    counts = [each.strip() for each in text.split(",")]
    if len(counts) > COUNTS_MAX:
        raise usage_error(f"--jobs has {len(counts)} job counts, at most {COUNTS_MAX} are simulated at once")
    if not all(_is_count(each, JOBS_MAX) for each in counts):
        raise usage_error(f"--jobs '{text}' is not a list of numbers from 1 to {JOBS_MAX}, such as 1,2,4,8")
    return sorted({int(each) for each in counts})


def check(args: Any) -> None:
    """Raises InputError for words that are wrong whatever the file says."""
    jobs(args.jobs)
    rates = [per_h(text) for text in args.arrivals]
    others = vars(args)["with"]
    if args.shared is not None:
        runners(args.shared)
    if others and args.shared is None:
        raise usage_error("--with OTHER shares runners with it; say how many there are: --shared runners=4")
    if args.shared is not None and not rates and not others:
        raise usage_error("--shared says what is shared, not by whom: add --arrivals 30/h, or --with OTHER")
    if len(rates) > len(others) + 1:
        raise usage_error("--arrivals stands once for FILE, and once for each --with at most")


def supposed(args: Any) -> Asked | None:
    """None where nothing is to be supposed."""
    asked = Asked(
        tuple([_retimed(text) for text in args.change]),
        tuple(args.without),
        tuple([_scaled(text) for text in args.scale]),
    )
    return asked if any(asked) else None


def _retimed(text: str) -> Retimed:
    name, equals, value = text.rpartition("=")  # a cell of a matrix has one in its name
    if not equals or not name:
        raise usage_error(f"--change '{text}' is not STAGE=DURATION or STAGE=FACTORx, such as unit=3m or unit=0.5x")
    if value[-1:] in ("x", "×"):
        try:
            factor = float(value[:-1])
        except ValueError:
            factor = -1.0
        if not 0.0 <= factor <= FACTOR_MAX or not value[:-1].strip()[:1].isdigit():
            raise usage_error(f"--change '{text}': '{value}' is no factor such as 0.5x or 2x")
        return Retimed(name, factor)
    try:
        return Retimed(name, None, quantity.duration_ms(value) / 1000)
    except ValueError as error:
        raise usage_error(f"--change '{text}': {error}, nor a factor such as 0.5x") from None


def _scaled(text: str) -> Scaled:
    name, equals, count = text.rpartition("=")
    if not equals or not name or not _is_count(count, STAGES_MAX):
        raise usage_error(
            f"--scale '{text}' is not NAME=N, such as service=50: a stage, a matrix or a group, and how many of it, "
            f"from 1 to {STAGES_MAX}; none of it is --without NAME"
        )
    return Scaled(name, int(count))


def per_h(text: str) -> float:
    """`30/h` and `0.5/m` are 30 an hour."""
    count, slash, unit = text.partition("/")
    try:
        found = float(count) * _HOUR_MS / quantity.rate(f"1/{unit}")[1]
    except ValueError:
        found = 0.0
    if not slash or not found > 0.0 or not count.strip()[:1].isdigit():
        raise usage_error(f"--arrivals '{text}' is no rate such as 30/h, 2/m or 100/d")
    if not RATE_MIN * (1 - 1e-9) <= found <= RATE_MAX * (1 + 1e-9):
        raise usage_error(f"--arrivals '{text}' is out of range: from {RATE_MIN}/h to {RATE_MAX:.0f}/h")
    return found


def runners(text: str) -> int:
    name, equals, count = text.partition("=")
    if not equals:
        name, count = "runners", text
    if name != "runners" or not _is_count(count, RUNNERS_MAX):
        raise usage_error(f"--shared '{text}' is not a number of runners from 1 to {RUNNERS_MAX}, such as runners=4")
    return int(count)


def accepted(words: list[str], pipeline: Pipeline) -> set[tuple[str, str]]:
    """The needs, directly or over others, that a person says are none."""
    ids = {stage.id for stage in pipeline.stages}
    found = set()
    for text in words:
        first, arrow, second = text.partition("→") if "→" in text else text.partition("->")
        pair = first.strip(), second.strip()
        if not arrow or not all(pair):
            raise usage_error(f"--accept '{text}' is not two stages with an arrow between them, such as lint->unit")
        for name in pair:
            if name not in ids:
                raise usage_error(f"--accept '{text}': {pipeline.file} has no stage `{name}`")
        found.add(pair)
    return found


def _is_count(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= most
