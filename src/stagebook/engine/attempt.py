"""One attempt while its process, or anything of its tree, lives: plain facts, no behaviour but naming them."""

from __future__ import annotations

from stagebook.engine.capture import Capture
from stagebook.engine.spawn import Spawned
from stagebook.engine.tree import Tree
from stagebook.model.pipeline import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.observe.world import Look
    from stagebook.record.mask import Mask
    from stagebook.record.story import Around


LEFT_MAX = 10  #: so many processes that were left behind are named


class Attempt:
    """`why` is set once it is being killed; `force_at` is when asking turns into forcing; `look_at` the next look."""

    __slots__ = (
        "around", "began", "capture", "delay_ns", "force_at", "is_call", "is_logged", "left", "log", "look_at",
        "mask", "name", "number",
        "rusage", "size", "stage", "started_us", "status", "tree", "why",
    )  # fmt: skip

    def __init__(
        self, index: int, number: int, spawned: Spawned, log: str, us: int, stage: Stage, began: Look | None = None,
        mask: Mask | None = None, is_call: bool = False,
    ) -> None:  # fmt: skip
        self.stage = index
        self.name = stage.id
        self.number = number
        self.tree = Tree(spawned.pid, spawned.group, stage.id, number, index if is_call else None)
        self.capture: Capture | None = None
        self.mask = mask
        if spawned.pipe is not None:
            self.capture = Capture(spawned.pipe, log, stage.log_limit_bytes, self.mask, is_call)
        self.is_call = is_call  #: of a step, for items: `stage` is the number of the call
        self.log = log
        self.is_logged = spawned.is_logged
        self.started_us = us
        self.began = began  #: what the machine was like
        self.delay_ns: int | None = None  #: how long its main process waited for a core
        self.around: Around | None = None  #: what the machine did meanwhile, once it is over
        self.size = 0
        self.status = 0
        self.rusage: Any = None
        self.why: str | None = None
        self.force_at: int | None = None
        self.look_at = 0
        self.left: list[str] = []

    def warnings(self) -> tuple[str, ...]:
        """What a person should know beside the outcome."""
        found = []
        if self.left and self.why is None:
            shown = ", ".join(self.left[:LEFT_MAX])
            more = f" and {len(self.left) - LEFT_MAX} more" if len(self.left) > LEFT_MAX else ""
            found.append(f"{self.name} left processes behind, which were ended: {shown}{more}")
        if not self.is_logged:
            found.append(f"{self.name}: log_incomplete, {self.log} could not be written")
        return tuple(found)
