"""Steps of stages that work through items, as lanes below their stage: when their workers were busy, and how much.

Takes the member `steps` of a stage in the document; drawn by `timeline` in a terminal, by `export/svg` in a picture.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.report.durations import NOTHING, count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


class Strip(NamedTuple):
    """A step. `levels` are the parts of its workers, 0 to 1, that were busy on average in each piece of `grain_us`, the
    first at `from_us`. `busy` is the same for all of the stage's time, None where it is not known."""

    name: str
    workers: int
    done: int
    busy: float | None
    from_us: int
    grain_us: int
    levels: tuple[float, ...]


def strips(stage: Mapping[str, Any]) -> tuple[Strip, ...]:
    """Those of one stage, in order; none where no call of it was ever over."""
    steps = stage.get("steps") or ()
    if not any(step.get("course") for step in steps):
        return ()
    return tuple([_strip(stage["stage"], step) for step in steps])


def _strip(stage: str, step: Mapping[str, Any]) -> Strip:
    name = step["step"].removeprefix(f"{stage}.")
    course = step["course"] or {"from_s": 0.0, "grain_s": 1.0, "at_once": []}
    most = max([float(step["workers"]), 1.0, *course["at_once"]])  # workers there were once, and are no more
    return Strip(
        name, max(step["workers"], round(most)), step["done"], step["busy"], round(course["from_s"] * 1e6),
        round(course["grain_s"] * 1e6), tuple([each / most for each in course["at_once"]]),
    )  # fmt: skip


def cells(strip: Strip, width: int, total_us: int) -> list[float]:
    """The mean level within each of `width` equal parts of the run, 0 to 1."""
    spent = [0.0] * width
    for piece, level in enumerate(strip.levels):
        if not level:
            continue
        begin = max(0.0, (strip.from_us + piece * strip.grain_us) * width / total_us)
        end = min(float(width), (strip.from_us + (piece + 1) * strip.grain_us) * width / total_us)
        cell = int(begin)
        while cell < width and cell < end:
            spent[cell] += level * (min(end, cell + 1) - max(begin, cell))
            cell += 1
    return [min(1.0, each) for each in spent]


def heading(strip: Strip) -> str:
    """`transcode ×4`."""
    return strip.name + (f" ×{strip.workers}" if strip.workers > 1 else "")


def figures(strip: Strip) -> str:
    """`163 done, 97 % busy`."""
    share = NOTHING if strip.busy is None else f"{strip.busy * 100:.0f} %"
    return f"{count(strip.done)} done, {share} busy"
