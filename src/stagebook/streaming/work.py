"""A function done with values, each or in batches, and which of them failed. The same in a thread and in a process."""

from __future__ import annotations

from operator import length_hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    from stagebook.streaming.block import Errors


def parts_of(values: list[Any], batch: int) -> Iterator[Any]:
    """What the function is called with, one by one. Whoever exhausts the iterator ends the work after the call that is
    under way: it costs nothing to look for that."""
    return iter(values if batch == 1 else [values[at : at + batch] for at in range(0, len(values), batch)])


def tried(
    function: Callable[[Any], Any], batch: int, parts: Iterator[Any], stops: bool
) -> tuple[list[Any], Errors]:  # fmt: skip
    """The results, with None for a value that failed, and the errors by place. With `stops` the first error is the
    end; the results are then fewer than the values, as they are where somebody has exhausted `parts`."""
    return _one_by_one(function, parts, stops) if batch == 1 else _in_batches(function, parts, stops)


def _one_by_one(function: Callable[[Any], Any], parts: Iterator[Any], stops: bool) -> tuple[list[Any], Errors]:
    results: list[Any] = []
    errors: Errors = {}
    count = length_hint(parts)
    while True:
        try:
            results.extend(map(function, parts))  # what came before an error is kept
        except BaseException as error:
            trouble = error
        else:
            # A function that raises StopIteration ends the `map` as well.
            if len(results) == count or count - length_hint(parts) != len(results) + 1:
                return results, errors
            trouble = RuntimeError("the function raised StopIteration")
        errors[len(results)] = trouble
        if stops:
            return results, errors
        results.append(None)


def _in_batches(function: Callable[[Any], Any], parts: Iterator[Any], stops: bool) -> tuple[list[Any], Errors]:
    results: list[Any] = []
    errors: Errors = {}
    for batch in parts:
        try:
            given = function(batch)
            if not isinstance(given, (list, tuple)) or len(given) != len(batch):
                size = f"{len(given)} values" if isinstance(given, (list, tuple)) else type(given).__name__
                raise ValueError(f"the function got {len(batch)} values and gave {size}, not a list as long")
        except BaseException as error:
            errors.update(dict.fromkeys(range(len(results), len(results) + len(batch)), error))
            if stops:
                break
            given = [None] * len(batch)
        results += given
    return results, errors
