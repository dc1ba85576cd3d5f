"""The loop's side of a stream: what comes out, failures told, and the end of everything when the loop is left."""

from __future__ import annotations

from time import perf_counter

from stagebook.streaming.shape import Step, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable, Iterable, Iterator

    from stagebook.streaming.shape import OnFailure


class Stream:
    """What comes out of the last step, to be taken once. Nothing begins before the first value is asked for."""

    def __init__(
        self, items: Iterable[Any], steps: list[Step], ordered: bool, on_failure: OnFailure
    ) -> None:  # fmt: skip
        self._values = _values(items, steps, ordered, on_failure)

    def __iter__(self) -> Iterator[Any]:
        return self._values

    def __next__(self) -> Any:
        return next(self._values)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        self.close()

    def close(self) -> None:
        """Leave it: its threads and processes end."""
        self._values.close()  # type: ignore[attr-defined]


def stream(
    items: Iterable[Any], *steps: Step | Callable[[Any], Any], ordered: bool = False, on_failure: OnFailure = "stop"
) -> Stream:  # fmt: skip
    """Take items through steps like an assembly line: while the second step works on the first item, the first takes
    the next. What comes out is iterated over, as it is done or, `ordered`, in the order of the items.

    Items may be endless, and slow: no more are drawn than the steps and the loop can take. A step is made by `step`, or
    is a function. When a value has failed for good, the stream stops: what has come out is given, and StreamError
    raised. With `on_failure="skip"` the item is left out, and so it is with a function, which the loop calls with the
    step's name, the item and the error. What `items` raises is raised when all before it have come out. Raises
    ValueError for what no stream can be."""
    if not steps:
        raise ValueError("a stream needs a step")
    if on_failure not in ("stop", "skip") and not callable(on_failure):
        raise ValueError(f"`on_failure` is {on_failure!r}, and has to be 'stop', 'skip' or a function")
    made = [each if isinstance(each, Step) else step(each) for each in steps]
    return Stream(items, made, ordered, on_failure)


def _values(items: Iterable[Any], steps: list[Step], ordered: bool, on_failure: OnFailure) -> Iterator[Any]:
    from stagebook.streaming.drive import Drive

    drive = Drive(items, steps, ordered, on_failure)
    try:
        drive.begin()
        while (given := drive.out.get()) is not None:
            number, block = given
            began = perf_counter()
            if block.failures and callable(on_failure):
                for failure in block.failures:
                    on_failure(*failure)
            yield from block.values
            drive.given(number, block, perf_counter() - began)
        if drive.error is not None:
            raise drive.error
    finally:
        drive.close()
