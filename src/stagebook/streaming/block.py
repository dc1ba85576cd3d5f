"""A block: some items that go through the steps together, as one item of the machine. Knows no step and no thread.

After each step its values are the results of the step. Values that fail are tried again with the block, alone: those
that are done wait for them. So each has had as many attempts as its block. Between two steps with processes the values
stay as they were pickled.
"""

from __future__ import annotations

import pickle

from stagebook.streaming.shape import StreamError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    Errors = dict[int, BaseException]


def unpacked(values: list[Any] | bytes) -> list[Any]:
    """Raises StreamError for what could be read where it comes from, and cannot be here."""
    if not isinstance(values, bytes):
        return values
    try:
        read: list[Any] = pickle.loads(values)
    except Exception as error:
        said = f"results of a process cannot be read outside of it: {type(error).__name__}: {error}"
        raise StreamError(said) from error
    return read


class Block:
    """`items` of the source, the first of which has number `first`."""

    __slots__ = ("_numbers", "_open", "count", "failures", "items", "packed", "trouble")

    def __init__(self, first: int, items: list[Any]) -> None:
        self.items = items
        self.count = len(items)
        #: The values, or all of them pickled.
        self.packed: list[Any] | bytes = items
        self._numbers: Sequence[int] = range(first, first + len(items))
        #: Where the values are that are to be tried again; None: all are to be tried.
        self._open: list[int] | None = None
        #: Items that were left out: step, item and error.
        self.failures: list[tuple[str, Any, BaseException]] = []
        #: What stops the stream.
        self.trouble: StreamError | None = None

    @property
    def is_whole(self) -> bool:
        return self._open is None

    @property
    def values(self) -> list[Any]:
        values = self.packed = unpacked(self.packed)
        return values

    @property
    def open_count(self) -> int:
        """The length of `to_try`."""
        return self.count if self._open is None else len(self._open)

    def to_try(self) -> list[Any]:
        values = self.values
        return values if self._open is None else [values[at] for at in self._open]

    def took(self, results: list[Any], errors: Errors) -> Errors:
        """What has become of `to_try`. Returns the errors by their place in the block."""
        places: Sequence[int] = range(self.count) if self._open is None else self._open
        if not errors and self._open is None:
            self.packed = results
            return errors
        values = [*self.values]
        for at, result in enumerate(results):
            if at not in errors:
                values[places[at]] = result
        self.packed = values
        found = {places[at]: error for at, error in errors.items()}
        self._open = list(found) or None
        return found

    def number(self, place: int) -> int:
        return self._numbers[place]

    def leave_out(self, step: str, errors: Errors) -> None:
        """These have failed for good; the others go on."""
        self.failures += [(step, self.items[place], error) for place, error in errors.items()]
        left = [place for place in range(self.count) if place not in errors]
        values = self.values
        self.packed = [values[place] for place in left]
        self.items = [self.items[place] for place in left]
        self._numbers = [self._numbers[place] for place in left]
        self.count = len(left)
        self._open = None
