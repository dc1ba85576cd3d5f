"""What a stream is made of: steps, the plan that they come to, and how it fails. Nothing runs here."""

from __future__ import annotations

import pickle
import reprlib

from stagebook.model.value import NamedTuple
from stagebook.scheduler.plan import Plan, PlannedEach, PlannedStage, PlannedStep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    OnFailure = str | Callable[[str, Any, BaseException], object]


WORKERS_MAX = 10_000  #: of one step: each is a thread at least
WAIT_MAX_S = 365 * 86400.0  #: before another attempt: a year


class StreamError(Exception):
    """A stream that cannot go on. `step` and `item` say where (None: at no item in particular); `__cause__` is what the
    function has raised."""

    def __init__(self, said: str, step: str | None = None, item: object = None) -> None:
        super().__init__(said)
        self.step = step
        self.item = item


class Step(NamedTuple):
    """One function on the way of every item; made by `step`."""

    function: Callable[[Any], Any]
    name: str
    workers: int
    batch: int
    processes: bool
    ordered: bool
    attempts: int
    wait_s: float
    buffer: int


def step(
    function: Callable[[Any], Any], *, workers: int = 1, batch: int = 1, processes: bool = False,
    ordered: bool = False, attempts: int = 1, wait: float = 0.0, buffer: int | None = None, name: str | None = None,
) -> Step:  # fmt: skip
    """A step of a stream: `function` gets a value and gives the one for the next step.

    `workers` of it run at once, as threads, or as processes with `processes`; then it has to be importable by its name,
    and all values picklable. With `batch` it gets a list of at most so many values and gives one as long. `ordered`: it
    gets values in the order of the items. A value that it fails with is tried up to `attempts` times in all, after
    `wait` seconds. At most `buffer` values (twice the workers if nothing is said) wait before it; of values that take
    less than a millisecond so many blocks. Raises ValueError for what no step can be."""
    name = name or getattr(function, "__name__", None) or type(function).__name__
    for word, number, least in (("workers", workers, 1), ("batch", batch, 1), ("attempts", attempts, 1)):
        if type(number) is not int or number < least:
            raise ValueError(f"step `{name}`: `{word}` is {number!r}, and has to be a whole number from {least} on")
    if buffer is not None and (type(buffer) is not int or buffer < 0):
        raise ValueError(f"step `{name}`: `buffer` is {buffer!r}, and has to be a whole number from 0 on")
    if workers > WORKERS_MAX:
        raise ValueError(f"step `{name}`: `workers` is {workers!r}, and may be {WORKERS_MAX} at most")
    if not 0 <= wait <= WAIT_MAX_S:
        raise ValueError(f"step `{name}`: `wait` is {wait!r}, and has to be a number of seconds up to a year")
    if not callable(function):
        raise ValueError(f"step `{name}`: {reprlib.repr(function)} is no function")
    if processes:
        try:
            pickle.dumps(function)
        except Exception as error:
            raise ValueError(
                f"step `{name}`: its function cannot be sent to a process ({error}); define it at the top of a module"
            ) from error
    if buffer is None:
        buffer = max(2 * workers, batch if batch > 1 else 0)
    return Step(function, name, workers, batch, processes, ordered, attempts, wait, buffer)


#: What the plan calls the loop that takes what comes out.
OUT = "out"


def plan_of(steps: Sequence[Step], ordered: bool, on_failure: OnFailure) -> Plan:
    """One stage that takes blocks through all steps. The last step is the loop that takes what comes out: so it holds
    back the others as any step does."""
    planned = [
        PlannedStep(
            each.name, 0, each.workers, each.workers, each.buffer, each.batch, each.ordered, each.attempts,
            (round(each.wait_s * 1000),),
        )
        for each in steps
    ]  # fmt: skip
    planned.append(PlannedStep(OUT, 0, ordered=ordered))
    each = PlannedEach(tuple(planned), "stop" if on_failure == "stop" else "skip")
    return Plan((PlannedStage("stream", (), 0, 0, each=each),), (), ((),))


def failed_at(name: str, number: int, item: object, error: BaseException) -> StreamError:
    """`number` counts items from 0 on."""
    said = f"step `{name}`: item {number} ({reprlib.repr(item)}): {type(error).__name__}: {error}"
    trouble = StreamError(said, name, item)
    trouble.__cause__ = error
    return trouble
