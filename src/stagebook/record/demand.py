"""What stages declare to need, against what they used: where the two are far apart. Reads a story, changes nothing."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.record.story import Attempt, Story

FAR = 2.0  #: times too much or too little
OVER_MEMORY = 1.25  #: so much too little memory is declared, and what fits by the books does not fit the machine
CORES_MIN = 0.5  #: nearer than that is near
MEMORY_MIN = 64 << 20
WALL_US_MIN = 1_000_000  #: a shorter attempt is mostly its start
PRESSED = 0.1  #: a stage that waited for a core for so much of its time may have wanted more than it got


def far_off(story: Story) -> list[dict[str, Any]]:
    """In the order of the file: `stage`, `what` (`cpu` in cores, `memory` in bytes), `declared` and `measured`, by the
    last attempt that ran to its end."""
    found = []
    for stage, attempts in zip(story.pipeline.stages, story.attempts):
        asked = stage.resources
        if not attempts or not (asked.cpu_milli or asked.memory_bytes):
            continue
        last = attempts[-1]
        if asked.cpu_milli:
            cores = _cores(last, asked.cpu_milli / 1000)
            if cores is not None:
                found.append({"stage": stage.id, "what": "cpu", "declared": asked.cpu_milli / 1000, "measured": cores})
        if asked.memory_bytes:
            peak = _peak(last, asked.memory_bytes)
            if peak is not None:
                found.append({"stage": stage.id, "what": "memory", "declared": asked.memory_bytes, "measured": peak})
    return found


def _cores(attempt: Attempt, declared: float) -> float | None:
    """Cores that were used on the average, if that is far from what was declared."""
    user_s, system_s = attempt.usage[:2]
    if attempt.outcome != "success" or attempt.finished_us is None or user_s is None or system_s is None:
        return None
    wall_us = attempt.finished_us - attempt.started_us
    if wall_us < WALL_US_MIN:
        return None
    used = round((user_s + system_s) * 1e6 / wall_us, 2)
    if used > declared * FAR and used - declared > CORES_MIN:
        return used
    is_pressed = attempt.around is None or attempt.around.cpu_some is None or attempt.around.cpu_some > PRESSED
    return used if used * FAR < declared and declared - used > CORES_MIN and not is_pressed else None


def _peak(attempt: Attempt, declared: int) -> int | None:
    """The peak of memory, if that is far from what was declared. That of the largest process says only that the
    whole tree took no less."""
    peak = attempt.usage.max_rss_bytes
    if attempt.outcome != "success" or peak is None:
        return None
    if peak > declared * OVER_MEMORY and peak - declared > MEMORY_MIN:
        return peak
    is_whole = attempt.usage.max_rss_method == "cgroup"
    return peak if is_whole and peak * FAR < declared and declared - peak > MEMORY_MIN else None
