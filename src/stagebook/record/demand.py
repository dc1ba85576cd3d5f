"""The memory that stages of one run declared beside what they took, in words for its end. Changes no declaration."""

from __future__ import annotations

from stagebook.model.quantity import size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.record.story import Story

FAR = 4  #: declared so many times what was measured is far too much
_MIB = 1 << 20


def far_off(story: Story) -> list[str]:
    """A sentence for each stage that took more than it declared; and, where stages of this run waited for memory, for
    each that declared far more than it took. A peak by `wait4` is that of the largest process alone."""
    was_scarce = any(attempt.waited == "memory" for attempts in story.attempts for attempt in attempts)
    found = []
    for stage, attempts in zip(story.pipeline.stages, story.attempts):
        declared = stage.resources.memory_bytes
        if not declared:
            continue
        peak, method = 0, None
        for attempt in attempts:
            used = attempt.usage
            if used.max_rss_bytes is not None and used.max_rss_bytes > peak:
                peak, method = used.max_rss_bytes, used.max_rss_method
        if peak > declared or (was_scarce and 0 < peak * FAR < declared):
            took = "its largest process took" if method == "wait4" else "it took"
            found.append(f"{stage.id}: {in_mib(declared)} of memory declared, {took} {in_mib(peak)}")
    return found


def in_mib(size: int) -> str:
    """Whole MiB where it is no smaller."""
    return size_text(-(-size // _MIB) * _MIB) if size >= _MIB else size_text(size)
